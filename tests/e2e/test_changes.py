"""A job whose savepoints Flink cannot complete, changed all the same; and the state of a job that was deleted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from test_behaviours import stream_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(600)]

# From a time on each record takes seconds of work (a quadratic search): barriers are stuck behind the backlog, so
# every savepoint expires, as under real back-pressure. A time, not a number of records: Flink restarts the job when a
# savepoint that was to stop it expires, and it must be as slow after that. The plan is the same for any time.
SCRIPT = """
CREATE TEMPORARY TABLE numbers (id INT) WITH (
  'connector' = 'datagen', 'rows-per-second' = '200', 'fields.id.min' = '0', 'fields.id.max' = '9');
CREATE TEMPORARY TABLE nowhere (id INT, seen BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO nowhere SELECT id, CASE WHEN UNIX_TIMESTAMP() > {slow_after} THEN
    CAST(CHAR_LENGTH(REGEXP_REPLACE(REPEAT('a', 40000 + CAST(n - n AS INT)), 'a(?=.*b)', '')) AS BIGINT)
  ELSE n END FROM (SELECT id, COUNT(*) AS n FROM numbers GROUP BY id);
"""
NEVER = 9_999_999_999
SOON = timedelta(seconds=75)
"""After its object is made: it runs after 10 to 20 s, and has completed its checkpoints 10 s later."""
NEXT = "penstock.dev/flink-demo:2.3.0-next"
PATIENT = {"execution.checkpointing.tolerable-failed-checkpoints": "1000"}


def job(lab: Lab, slow_after: int, **spec: Any) -> dict[str, Any]:
    script, timeout = SCRIPT.format(slow_after=slow_after), {"timeout": "10s"}
    return stream_job(lab, "mover", script, checkpoints=timeout, configuration=PATIENT, **spec)


def stalled(lab: Lab, reason: str) -> dict[str, Any] | None:
    found = lab.condition("streamjob", "mover", "Stalled")
    return found if (found.get("status"), found.get("reason")) == ("True", reason) else None


@pytest.fixture(scope="module")
def slow(lab: Lab) -> Iterator[Lab]:
    """The job, with a Checkpoint `first` of its fast time, when it has become slow."""
    lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))  # the store alone
    lab.create(job(lab, int((datetime.now(UTC) + SOON).timestamp())))
    lab.until("the mover runs", lambda: lab.runs("mover"))
    spec = {"jobRef": {"name": "mover"}, "description": "while it was fast"}
    meta = {"name": "first"}
    lab.create({"apiVersion": "penstock.dev/v1alpha1", "kind": "Checkpoint", "metadata": meta, "spec": spec})
    lab.until("first is Present", lambda: lab.get("checkpoint", "first").get("status", {}).get("phase") == "Present")
    number = lab.newest("mover")
    lab.until("a checkpoint of its own is complete", lambda: lab.newest("mover") > number)
    lab.until("it is slow", lambda: no_checkpoint_for(lab, timedelta(seconds=25)))
    yield lab
    lab.kubectl("delete", "streamjob", "mover", "--ignore-not-found", "--timeout=100s", seconds=110)


def no_checkpoint_for(lab: Lab, time: timedelta) -> bool:
    """Whether none of its checkpoints, which are 2 s apart, has been completed for so long.

    The status of a job at rest is up to 10 s behind: a shorter time would be found on a fast job, too.
    """
    completed = datetime.fromisoformat(lab.job("mover")["latestCheckpoint"]["completionTime"])
    return datetime.now(UTC) - completed > time


def test_a_savepoint_that_flink_gives_up_changes_nothing_until_the_user_says_so(slow: Lab) -> None:
    lab = slow
    run = lab.job("mover")["run"]["id"]
    change = {
        "job": {"sql": {"script": SCRIPT.format(slow_after=NEVER)}},
        "flink": {"image": NEXT, "configuration": {"pipeline.object-reuse": "true"}},
        "parallelism": 2,
    }
    lab.patch(change, "mover")
    found = lab.until("the upgrade is refused", lambda: stalled(lab, "SavepointFailed"))
    assert "expired" in found["message"]
    assert "ifSavepointFails: LatestCheckpoint" in found["message"]
    status = lab.job("mover")
    assert (status["run"]["id"], status["jobVersion"], status["state"]) == (run, 1, "Running")
    [failed] = lab.checkpoints("mover", "Upgrade")
    assert failed["status"]["phase"] == "Timeout"
    assert "expired" in failed["status"]["lastError"]["message"]

    number = lab.latest("mover")
    lab.patch({"checkpoints": {"ifSavepointFails": "LatestCheckpoint"}}, "mover")
    status = lab.until("it goes on without", lambda: (s := lab.runs("mover")) and s["jobVersion"] == 2 and s)
    began = status["startedFrom"]
    assert (began["kind"], began["run"], began["confirmed"]) == ("Retained", run, True), began
    assert began["checkpointId"] >= number


def test_image_configuration_sql_and_size_are_those_of_the_new_version(slow: Lab) -> None:
    lab = slow
    pods = lab.pods("jobmanager", "mover") + lab.pods("taskmanager", "mover")
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {NEXT}
    stem = f"mover-{lab.job('mover')['run']['id'][:8]}"
    [configuration] = [
        each["data"]["config.yaml"]
        for each in lab.items("configmaps", "-l", "penstock.dev/component=config")
        if each["metadata"]["name"].startswith(stem)
    ]
    assert '"pipeline.object-reuse": "true"' in configuration
    assert '"parallelism.default": "2"' in configuration
    revisions = lab.items("controllerrevisions", "-l", "penstock.dev/job=mover")
    scripts = {each["revision"]: each["data"]["spec"]["job"]["sql"]["script"] for each in revisions}
    assert str(NEVER) in scripts[2]
    assert str(NEVER) not in scripts[1]
    number = lab.newest("mover")
    lab.until("the new version completes checkpoints", lambda: lab.newest("mover") > number + 1)


def test_a_job_of_the_same_name_starts_from_a_checkpoint_of_the_deleted_one(slow: Lab) -> None:
    lab = slow
    first = lab.get("checkpoint", "first")["status"]
    old = lab.get("streamjob", "mover")["metadata"]["uid"]
    lab.kubectl("delete", "streamjob", "mover", "--timeout=100s", seconds=110)
    lab.create(job(lab, NEVER, startFrom={"checkpoint": {"name": "first"}}))
    began = lab.until("the new one runs", lambda: lab.runs("mover"))["startedFrom"]
    assert lab.get("streamjob", "mover")["metadata"]["uid"] != old
    assert (began["checkpoint"], began["location"], began["confirmed"]) == ("first", first["location"], True)
    assert began["checkpointId"] == first["checkpointId"]
    assert old in json.dumps(began["location"]), "the state lies in the directory of the deleted job"
