"""What a user asks for day by day, on one small job with state: keeping and clearing, repairs, refusals, ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.quick import QUICK, SCRIPTS_TOO

if TYPE_CHECKING:
    from lab import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.timeout(600)]

ENDLESS = """
CREATE TEMPORARY TABLE numbers (id INT) WITH (
  'connector' = 'datagen', 'rows-per-second' = '50', 'fields.id.min' = '0', 'fields.id.max' = '9');
CREATE TEMPORARY TABLE nowhere (id INT, seen BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO nowhere SELECT id, COUNT(*) FROM numbers GROUP BY id;
"""
BOUNDED = ENDLESS.replace("'rows-per-second' = '50'", "'number-of-rows' = '${secret:limits/rows}'")


def stream_job(lab: Lab, name: str, script: str, **spec: Any) -> dict[str, Any]:
    """A small StreamJob; `checkpoints` and `configuration` in `spec` are added to what all of them have."""
    checkpoints = {"store": lab.store, "interval": "2s", "retention": {"numRetained": 2}} | spec.pop("checkpoints", {})
    configuration = QUICK | spec.pop("configuration", {})
    # Little is reserved: what the jobs of two labs reserve must fit on one small node, or a pod of them waits for ever.
    resources = {"requests": {"cpu": "50m"}}
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "StreamJob",
        "metadata": {"name": name, "namespace": lab.namespace},
        "spec": {
            "flink": {"version": "2.3", "image": "penstock.dev/flink-demo:2.3.0", "configuration": configuration},
            "job": {"sql": {"script": script}},
            "checkpoints": checkpoints,
            "jobManager": {"resources": resources},
            "taskManager": {"resources": resources | {"limits": {"memory": "1400Mi"}}},
            "podTemplate": SCRIPTS_TOO,
            **spec,
        },
    }


def checkpoint(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Checkpoint",
        "metadata": {"name": name},
        "spec": {"jobRef": {"name": "counter"}, **spec},
    }


def phase(lab: Lab, name: str) -> str:
    return str((lab.get("checkpoint", name).get("status") or {}).get("phase"))


@pytest.fixture(scope="module")
def counter(lab: Lab) -> Lab:
    """A running job. Its first Checkpoint was asked for while it was still starting."""
    lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))  # the store alone
    lab.create(stream_job(lab, "counter", ENDLESS, onDelete={"checkpoints": "Delete"}))
    lab.create(checkpoint("one", description="asked for while the job was starting"))
    lab.until("the counter runs", lambda: lab.runs("counter"))
    lab.until("the early checkpoint is Present", lambda: lab.present("one"))
    return lab


def test_what_is_deleted_by_hand_is_made_again(counter: Lab) -> None:
    lab = counter
    run = lab.job("counter")["run"]["id"]
    stem = f"counter-{run[:8]}"
    lab.kubectl("delete", "service", f"{stem}-jobmanager")
    lab.kubectl("delete", "deployment", f"{stem}-taskmanager")
    lab.until("the Service is back", lambda: lab.get("service", f"{stem}-jobmanager"))
    lab.until("the Deployment is back", lambda: lab.get("deployment", f"{stem}-taskmanager"))
    number = lab.newest("counter")
    lab.until("checkpoints complete again", lambda: lab.newest("counter") > number + 1)
    assert lab.job("counter")["run"]["id"] == run


def test_the_newest_two_are_kept_and_the_bytes_of_the_others_are_gone(counter: Lab) -> None:
    lab = counter
    first = lab.get("checkpoint", "one")["status"]
    pinned = lab.take("two", "counter", pinned=True)
    for name in ("three", "four"):
        lab.take(name, "counter")
    lab.until("the oldest is Cleared", lambda: phase(lab, "one") == "Cleared")
    kept = lab.keys(lab.directory("counter") + "savepoints/")
    assert not [key for key in kept if key in first["location"] or first["location"].endswith(key)]
    assert first["targetDirectory"].removeprefix("s3://penstock/") not in "".join(kept)
    assert any(key.startswith(pinned["location"].removeprefix("s3://penstock/")) for key in kept)
    assert [phase(lab, name) for name in ("two", "three", "four")] == ["Present"] * 3
    freed = lab.get("checkpoint", "one")["status"]["bytesFreed"] - first["sizeBytes"]
    assert 0 < freed < 2000, "its penstock.json went along"
    assert not lab.keys(lab.directory("counter") + "tombstones/")


def test_a_pinned_one_is_not_deleted_until_it_is_unpinned_and_then_its_bytes_go(counter: Lab) -> None:
    lab = counter
    where = lab.get("checkpoint", "two")["status"]["targetDirectory"].removeprefix("s3://penstock/")
    assert lab.keys(where)
    lab.kubectl("delete", "checkpoint", "two", check=False)
    assert phase(lab, "two") == "Present"
    lab.kubectl("patch", "checkpoint", "two", "--type=merge", "-p", '{"spec":{"pinned":false}}')
    lab.kubectl("delete", "checkpoint", "two", "--timeout=40s")
    assert not lab.keys(where)


def test_one_that_is_exported_and_applied_again_is_found_and_not_taken_twice(counter: Lab) -> None:
    lab = counter
    lab.kubectl("patch", "checkpoint", "three", "--type=merge", "-p", '{"spec":{"deletionPolicy":"Retain"}}')
    exported = lab.get("checkpoint", "three")
    before = set(lab.keys(lab.directory("counter") + "savepoints/"))
    lab.kubectl("delete", "checkpoint", "three", "--timeout=40s")
    assert set(lab.keys(lab.directory("counter") + "savepoints/")) == before
    fresh = {key: exported["metadata"][key] for key in ("name", "namespace")}
    lab.create(
        {"apiVersion": exported["apiVersion"], "kind": "Checkpoint", "metadata": fresh, "spec": exported["spec"]}
    )
    lab.until("it is found again", lambda: lab.present("three"))
    found = lab.get("checkpoint", "three")["status"]
    assert found["location"] == exported["status"]["location"]
    assert found["jobVersion"] == exported["status"]["jobVersion"]
    assert set(lab.keys(lab.directory("counter") + "savepoints/")) == before


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [
        (
            {"startFrom": {"latest": None, "checkpoint": {"name": "nobody"}}},
            "CheckpointNotFound",
            "spec.startFrom.checkpoint.name: nobody",
        ),
        (
            {"startFrom": {"latest": None, "checkpoint": {"name": "one"}}},
            "CheckpointNotPresent",
            "one is Cleared",
        ),
        (
            {"flink": {"configuration": {"execution.checkpointing.interval": "1s"}}},
            "InvalidSpec",
            "spec.checkpoints.interval",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_words_and_the_job_runs_on(
    counter: Lab, change: dict[str, Any], reason: str, says: str
) -> None:
    lab = counter
    run = lab.job("counter")["run"]["id"]
    lab.patch(change, "counter")
    stalled = lab.until(
        f"it is Stalled: {reason}",
        lambda: (c := lab.condition("streamjob", "counter", "Stalled")).get("reason") == reason and c,
    )
    assert stalled["status"] == "True"
    assert says in stalled["message"]
    status = lab.job("counter")
    assert status["run"]["id"] == run
    assert status["state"] == "Running"
    mended = {"configuration": {"execution.checkpointing.interval": None}}
    lab.patch({"startFrom": {"checkpoint": None, "latest": {}}, "flink": mended}, "counter")
    lab.until("it is as asked again", lambda: lab.runs("counter"))
    assert lab.job("counter")["run"]["id"] == run


def test_three_job_managers_die_one_after_the_other(counter: Lab) -> None:
    lab = counter
    run, number = lab.job("counter")["run"]["id"], lab.newest("counter")
    killed: set[str] = set()

    def another_dies() -> bool:
        for pod in lab.pods("jobmanager", "counter"):
            name = pod["metadata"]["name"]
            if name not in killed and "deletionTimestamp" not in pod["metadata"]:
                killed.add(name)
                lab.kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
        return len(killed) >= 3

    lab.until("three JobManagers are dead", another_dies, 150)
    lab.until("the same run goes on", lambda: lab.newest("counter") > number + 2, 240)
    assert lab.job("counter")["run"]["id"] == run


def test_stopping_without_a_savepoint_keeps_the_newest_checkpoint(counter: Lab) -> None:
    lab = counter
    run = lab.job("counter")["run"]["id"]
    lab.patch({"state": "Stopped", "checkpoints": {"onStop": "LatestCheckpoint"}}, "counter")
    lab.until("it is stopped", lambda: lab.job("counter").get("state") == "Stopped")
    number = lab.latest("counter")
    assert not lab.pods("jobmanager", "counter")
    lab.patch({"state": "Running"}, "counter")
    status = lab.until("it runs again", lambda: lab.runs("counter"))
    assert status["startedFrom"]["kind"] == "Retained"
    assert status["startedFrom"]["run"] == run
    assert status["startedFrom"]["checkpointId"] >= number


def test_deleting_the_job_with_its_checkpoints_leaves_only_what_says_retain_or_is_pinned(counter: Lab) -> None:
    lab = counter
    lab.take("kept", "counter", deletionPolicy="Retain")
    # It is the third one: what the policy says of a deleted object does not keep the oldest.
    lab.until("the oldest is Cleared", lambda: phase(lab, "three") == "Cleared")
    directory = lab.directory("counter")
    before = set(lab.keys(directory))
    lab.kubectl("delete", "streamjob", "counter", "--timeout=100s", seconds=110)
    kept = lab.checkpoints("counter")
    assert "kept" in {each["metadata"]["name"] for each in kept}
    assert all(each["spec"].get("pinned") or each["spec"].get("deletionPolicy") == "Retain" for each in kept)
    homes = tuple(each["status"]["targetDirectory"].removeprefix("s3://penstock/") for each in kept)
    assert set(lab.keys(directory)) == {key for key in before if key.startswith(homes)}
    left = lab.items("configmaps,pods,services,deployments,jobs", labels="penstock.dev/job=counter")
    assert not [each for each in left if "deletionTimestamp" not in each["metadata"]]
    made_by_flink = lab.items("configmaps", labels="type=flink-native-kubernetes")
    assert not [each for each in made_by_flink if each["metadata"]["name"].startswith("counter-")]


def test_a_checkpoint_of_a_job_that_is_gone_can_still_be_deleted_with_its_data(counter: Lab) -> None:
    lab = counter
    present_ones = [each for each in lab.checkpoints("counter") if each["status"]["phase"] == "Present"]
    assert present_ones
    for found in present_ones:
        name, where = found["metadata"]["name"], found["status"]["targetDirectory"].removeprefix("s3://penstock/")
        assert lab.keys(where)
        spec = '{"spec":{"deletionPolicy":"Delete","pinned":false}}'
        lab.kubectl("patch", "checkpoint", name, "--type=merge", "-p", spec)
        lab.kubectl("delete", "checkpoint", name, "--timeout=40s")
        assert not lab.keys(where)


def test_a_job_that_has_read_everything_is_finished_and_never_run_again(lab: Lab) -> None:
    lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))
    lab.create(stream_job(lab, "hundred", BOUNDED))
    words = 'CreateContainerConfigError secret "limits" not found'
    lab.until(
        "it says which Secret is missing",
        lambda: words in lab.condition("streamjob", "hundred", "Reconciling").get("message", ""),
    )
    run = lab.job("hundred")["run"]["id"]
    # Nothing was used up by the wait: the very pod that waited goes on, with the permit.
    assert lab.get("configmap", f"hundred-{run[:8]}-permit")
    limits = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "limits"}, "stringData": {"rows": "100"}}
    lab.create(limits)
    status = lab.until("it is finished", lambda: (s := lab.job("hundred")).get("state") == "Finished" and s)
    assert status["run"]["id"] == run
    lab.until(
        "its pods are gone", lambda: not lab.pods("jobmanager", "hundred") and not lab.pods("taskmanager", "hundred")
    )
    lab.patch({"parallelism": 2}, "hundred")
    generation = lab.get("streamjob", "hundred")["metadata"]["generation"]
    lab.until("the change is seen", lambda: lab.job("hundred").get("observedGeneration") == generation)
    after = lab.job("hundred")
    assert (after["state"], after["run"]["id"]) == ("Finished", run)
    assert after.get("intent") is None
    lab.kubectl("delete", "streamjob", "hundred", "--timeout=60s", seconds=70)
    lab.kubectl("delete", "secret", "limits")


def test_a_script_that_flink_refuses_says_why_and_can_be_mended(lab: Lab) -> None:
    lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))
    lab.create(stream_job(lab, "typo", ENDLESS.replace("FROM numbers", "FROM nmbers")))
    status = lab.until("it has failed", lambda: (s := lab.job("typo")).get("state") == "Failed" and s)
    assert "nmbers" in status["lastError"]["message"]
    lab.patch({"job": {"sql": {"script": ENDLESS}}}, "typo")
    status = lab.until("mended, it runs", lambda: lab.runs("typo"))
    assert status["jobVersion"] == 2
    lab.kubectl("delete", "streamjob", "typo", "--timeout=100s", seconds=110)
