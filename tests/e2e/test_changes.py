"""A job whose savepoints Flink cannot complete, changed all the same; and the state of a job that was deleted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ledger import Ledger
from test_behaviours import stream_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.timeout(600)]

# From a number on each row is for a broker that nobody has: the sink waits for it, and barriers are stuck behind what
# waits for the sink, so every savepoint expires, as under real back-pressure. By the number, not by the clock, so that
# a busy machine makes no difference; and Flink restarts the job when a savepoint that was to stop it expires: it must
# be stuck after that, too. The plan is the same for any number.
SCRIPT = """
CREATE TEMPORARY TABLE numbers (n BIGINT) WITH (
  'connector' = 'kafka', 'topic' = '{name}-in', 'properties.bootstrap.servers' = 'kafka.{space}.svc:9092',
  'properties.group.id' = '{name}', 'scan.startup.mode' = 'earliest-offset', 'format' = 'json');
CREATE TEMPORARY TABLE stuck (id BIGINT, seen BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH (
  'connector' = 'upsert-kafka', 'topic' = '{name}-out', 'properties.bootstrap.servers' = 'kafka.{space}.svc:9',
  'properties.max.block.ms' = '3600000', 'key.format' = 'json', 'value.format' = 'json');
INSERT INTO stuck SELECT id, seen FROM (
  SELECT MOD(n, 10) AS id, COUNT(*) AS seen, MAX(n) AS newest FROM numbers GROUP BY MOD(n, 10))
WHERE newest >= {stuck_from};
"""
NAME = "mover"
NEVER = 9_999_999_999
FREE, STUCK = 200, 20
"""So many numbers are read at once, and so many wait."""
NEXT = "penstock.dev/flink-demo:2.3.0-next"
PATIENT = {"execution.checkpointing.tolerable-failed-checkpoints": "1000"}


def script(lab: Lab, stuck_from: int) -> str:
    return SCRIPT.format(name=NAME, space=lab.namespace, stuck_from=stuck_from)


def job(lab: Lab, stuck_from: int, **spec: Any) -> dict[str, Any]:
    timeout = {"timeout": "10s"}
    return stream_job(lab, NAME, script(lab, stuck_from), checkpoints=timeout, configuration=PATIENT, **spec)


def stalled(lab: Lab, reason: str) -> dict[str, Any] | None:
    found = lab.condition("streamjob", NAME, "Stalled")
    return found if (found.get("status"), found.get("reason")) == ("True", reason) else None


@pytest.fixture(scope="module")
def stuck(lab: Lab) -> Iterator[Lab]:
    """The job, with a Checkpoint `first` of its free time, when it has become stuck."""
    lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))  # the store alone
    numbers = Ledger(lab, NAME, NAME)
    numbers.make_topics()
    numbers.add(FREE)
    lab.create(job(lab, FREE))
    lab.until("the mover runs", lambda: lab.runs(NAME))
    lab.take("first", NAME, description="while it was free")
    number = lab.newest(NAME)
    lab.until("a checkpoint of its own is complete", lambda: lab.newest(NAME) > number)
    before = numbers.flink("/checkpoints")["counts"]["failed"]
    numbers.add(STUCK)
    lab.until("it is stuck", lambda: numbers.flink("/checkpoints")["counts"]["failed"] > before)
    yield lab
    lab.kubectl("delete", "streamjob", NAME, "--ignore-not-found", "--timeout=100s", seconds=110)


def test_a_savepoint_that_flink_gives_up_changes_nothing_until_the_user_says_so(stuck: Lab) -> None:
    lab = stuck
    run = lab.job(NAME)["run"]["id"]
    change = {
        "job": {"sql": {"script": script(lab, NEVER)}},
        "flink": {"image": NEXT, "configuration": {"pipeline.object-reuse": "true"}},
        "parallelism": 2,
    }
    lab.patch(change, NAME)
    found = lab.until("the upgrade is refused", lambda: stalled(lab, "SavepointFailed"))
    assert "expired" in found["message"]
    assert "ifSavepointFails: LatestCheckpoint" in found["message"]
    status = lab.job(NAME)
    assert (status["run"]["id"], status["jobVersion"], status["state"]) == (run, 1, "Running")
    [failed] = lab.checkpoints(NAME, "Upgrade")
    assert failed["status"]["phase"] == "Timeout"
    assert "expired" in failed["status"]["lastError"]["message"]

    number = lab.latest(NAME)
    lab.patch({"checkpoints": {"ifSavepointFails": "LatestCheckpoint"}}, NAME)
    status = lab.until("it goes on without", lambda: (s := lab.runs(NAME)) and s["jobVersion"] == 2 and s)
    began = status["startedFrom"]
    assert (began["kind"], began["run"], began["confirmed"]) == ("Retained", run, True), began
    assert began["checkpointId"] >= number


def test_image_configuration_sql_and_size_are_those_of_the_new_version(stuck: Lab) -> None:
    lab = stuck
    pods = lab.pods("jobmanager", NAME) + lab.pods("taskmanager", NAME)
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {NEXT}
    stem = f"{NAME}-{lab.job('mover')['run']['id'][:8]}"
    [configuration] = [
        each["data"]["config.yaml"]
        for each in lab.items("configmaps", labels="penstock.dev/component=config")
        if each["metadata"]["name"].startswith(stem)
    ]
    assert '"pipeline.object-reuse": "true"' in configuration
    assert '"parallelism.default": "2"' in configuration
    revisions = lab.items("controllerrevisions", labels="penstock.dev/job=mover")
    scripts = {each["revision"]: each["data"]["spec"]["job"]["sql"]["script"] for each in revisions}
    assert str(NEVER) in scripts[2]
    assert str(NEVER) not in scripts[1]
    number = lab.newest(NAME)
    lab.until("the new version completes checkpoints", lambda: lab.newest(NAME) > number + 1)


def test_a_job_of_the_same_name_starts_from_a_checkpoint_of_the_deleted_one(stuck: Lab) -> None:
    lab = stuck
    first = lab.get("checkpoint", "first")["status"]
    old = lab.get("streamjob", NAME)["metadata"]["uid"]
    lab.kubectl("delete", "streamjob", NAME, "--timeout=100s", seconds=110)
    lab.create(job(lab, NEVER, startFrom={"checkpoint": {"name": "first"}}))
    began = lab.until("the new one runs", lambda: lab.runs(NAME))["startedFrom"]
    assert lab.get("streamjob", NAME)["metadata"]["uid"] != old
    assert (began["checkpoint"], began["location"], began["confirmed"]) == ("first", first["location"], True)
    assert began["checkpointId"] == first["checkpointId"]
    assert old in json.dumps(began["location"]), "the state lies in the directory of the deleted job"
