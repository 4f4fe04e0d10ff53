"""The main job, end to end: real pods, real Flink, Kafka and S3, the flights of a year, and everything that goes wrong.

The input is fed at a steady rate that outlasts the disturbances. At the end the output topic (exactly-once sink, read
committed) must equal what plain Python says of the same data: no window missing, different, extra or twice.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from demo import data, oracle
from tests.quick import QUICK, SCRIPTS_TOO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.timeout(1500)]

RATE = 500
"""Records a second: 336,776 of them take 11 minutes, longer than the disturbances do beside other tests."""


def with_rate(text: str) -> str:
    return text.replace("--rate=1000", f"--rate={RATE}")


def checkpoint(name: str, description: str) -> dict[str, Any]:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Checkpoint",
        "metadata": {"name": name},
        "spec": {"jobRef": {"name": "flights"}, "description": description},
    }


def adapted(text: str) -> str:
    """Without the example's own Checkpoint: the test takes its own when it wants it.

    And with little CPU reserved, and with JVMs that start quickly: it has eight runs.
    """
    text = "---".join(part for part in text.split("---") if "kind: Checkpoint\n" not in part)
    quick = "".join(f"      {key}: {json.dumps(value)}\n" for key, value in QUICK.items())
    text = text.replace("    configuration:\n", f"    configuration:\n{quick}")
    text = text.replace("  parallelism: 2\n", f"  parallelism: 2\n  podTemplate: {json.dumps(SCRIPTS_TOO)}\n")
    return re.sub(r"cpu: \d+m", "cpu: 50m", text)


@pytest.fixture
def flights(lab: Lab) -> Iterator[Lab]:
    """The lab, in which the job does not outlive the test: it would take the others' share of the node."""
    yield lab
    lab.kubectl("delete", "streamjob", "flights", "--ignore-not-found", "--timeout=100s", seconds=110)


def test_the_year_of_flights_comes_out_exactly_once_whatever_happens(flights: Lab) -> None:
    lab = flights
    lab.apply("manifests/examples/flights.yaml", adapted)
    lab.apply("manifests/demo/feeder.yaml", with_rate)
    status = lab.until("the job runs, started empty", lab.runs)
    assert status["startedFrom"]["kind"] == "Empty"
    assert status["jobVersion"] == 1
    lab.until("it has committed windows", lambda: lab.read("flights-hourly"), every=3)

    # A manual checkpoint.
    before = {record.value for record in lab.read("flights-hourly")}
    lab.create(checkpoint("before-the-upgrade", "before the upgrade"))
    manual = lab.until("the manual checkpoint is Present", lambda: lab.present("before-the-upgrade"))
    read_by_then = lab.ends("flights")
    assert manual["sizeBytes"] > 0
    assert manual["jobVersion"] == 1
    assert manual["location"].startswith(f"s3://penstock/demo/{lab.namespace}/flights-")

    a_task_manager_dies(lab)
    the_job_manager_dies(lab)
    the_ha_config_maps_are_deleted_and_it_dies_again(lab)
    the_operator_dies(lab)
    stopped = it_is_stopped_and_started(lab)
    its_parallelism_is_changed(lab, stopped)

    assert not lab.get("job", "feeder")["status"].get("succeeded"), "the input ended before the disturbances did"
    lab.until("the year is fed", lambda: lab.get("job", "feeder")["status"].get("succeeded"), 900)
    lab.until("every window is committed", lambda: not lab.report().missing, 120, every=3)
    report = lab.report()
    lab.say(report.describe())
    assert report.exactly_once, report.describe()
    assert report.windows_total == oracle.TOTAL_WINDOWS

    # Back to the older checkpoint, and to the end again.
    lab.patch({"startFrom": {"latest": None, "checkpoint": {"name": "before-the-upgrade"}}})
    status = lab.until("it runs from the older checkpoint", lambda: started_from(lab, "before-the-upgrade"))
    assert status["startedFrom"]["confirmed"] is True
    assert status["startedFrom"]["location"] == manual["location"]
    repeats(lab, before, read_by_then)
    tables(lab)


def started_from(lab: Lab, name: str) -> dict[str, Any] | None:
    status = lab.runs()
    return status if status and status["startedFrom"].get("checkpoint") == name else None


def a_task_manager_dies(lab: Lab) -> None:
    run, number = lab.job()["run"]["id"], lab.newest()
    lab.kill("taskmanager")
    lab.until("after the TaskManager's death checkpoints complete again", lambda: lab.newest() > number + 2)
    assert lab.job()["run"]["id"] == run


def the_job_manager_dies(lab: Lab) -> None:
    run, number = lab.job()["run"]["id"], lab.newest()
    lab.kill("jobmanager")
    lab.until("after the JobManager's death checkpoints complete again", lambda: lab.newest() > number + 2)
    assert lab.job()["run"]["id"] == run, "Flink's own HA brings the same run back"


def the_ha_config_maps_are_deleted_and_it_dies_again(lab: Lab) -> None:
    run, number = lab.job()["run"]["id"], lab.latest()
    lab.kubectl("delete", "configmaps", "-l", "type=flink-native-kubernetes")
    lab.kill("jobmanager")
    lab.until("without HA metadata a new run starts", lambda: (lab.job().get("run") or {}).get("id") != run)
    status = lab.until("the new run runs", lab.runs)
    assert status["startedFrom"]["kind"] == "Retained"
    assert status["startedFrom"]["run"] == run
    assert status["startedFrom"]["checkpointId"] >= number, "it must not go back"
    lab.until("its checkpoints complete", lambda: lab.completes(status["startedFrom"]["checkpointId"]))


def the_operator_dies(lab: Lab) -> None:
    run = lab.job()["run"]["id"]
    operator = ["-n", "penstock-system"]
    names = lab.kubectl(*operator, "get", "pods", "-l", "app.kubernetes.io/name=penstock", "-o", "name").split()
    lab.create(checkpoint("while-the-operator-dies", "asked for as the operator dies"))
    for name in names:
        lab.kubectl(*operator, "delete", name, "--grace-period=0", "--force")
    lab.until("the next operator completes the checkpoint", lambda: lab.present("while-the-operator-dies"))
    assert lab.job()["run"]["id"] == run


def it_is_stopped_and_started(lab: Lab) -> str:
    lab.patch({"state": "Stopped"})
    lab.until("it is stopped", lambda: lab.job().get("state") == "Stopped")
    assert not lab.pods("jobmanager")
    assert not lab.pods("taskmanager")
    stops = lab.checkpoints(source="Stop")
    assert [each["status"]["phase"] for each in stops] == ["Present"]
    name = str(stops[0]["metadata"]["name"])
    lab.patch({"state": "Running"})
    lab.until("it runs from the stop's checkpoint", lambda: started_from(lab, name))
    return name


def its_parallelism_is_changed(lab: Lab, stopped: str) -> None:
    lab.patch({"parallelism": 1})
    status = lab.until("version 2 runs", lambda: (s := lab.runs()) and s["jobVersion"] == 2 and s)
    upgrade = status["startedFrom"]["checkpoint"]
    assert upgrade != stopped
    assert lab.get("checkpoint", upgrade)["spec"]["source"] == "Upgrade"
    versions = [each["revision"] for each in lab.items("controllerrevisions", labels="penstock.dev/job=flights")]
    assert sorted(versions) == [1, 2]


def repeats(lab: Lab, before: set[bytes], read_by_then: list[int]) -> None:
    """The windows after the checkpoint appear a second time with equal values, and nothing else does."""
    flights = data.load()
    closed_by_then = set(oracle.closed(flights, read_by_then))
    certain = {key for key in oracle.windows(flights) if key not in closed_by_then}
    lab.until("the windows after it appear again", lambda: certain <= set(lab.report().repeated), 240, every=3)
    report = lab.report()
    lab.say(report.describe())
    again = set(report.repeated)
    assert report.repeats_only(again), report.describe()
    # The watermark is one for all origins, so what comes again is exactly everything from one hour on.
    first = min(key.hour for key in again)
    assert again == {key for key in oracle.windows(flights) if key.hour >= first}
    early = {json.loads(value)["window_start"] for value in before}
    assert not early & {_start(key.hour) for key in again}, "a window that was out before the checkpoint came again"


def _start(hour: int) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415

    return datetime.fromtimestamp(hour / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def tables(lab: Lab) -> None:
    """What a user sees."""
    lab.say("kubectl get streamjobs,checkpoints\n" + lab.kubectl("get", "streamjobs,checkpoints"))
