"""A second job from the first one's checkpoint, while the first one runs on; asked for with the `penstock` command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ledger import INCREMENTAL, KEYS, Ledger, directory_of
from test_behaviours import stream_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.timeout(300)]

TRUNK, BRANCH = "trunk", "branch"
SHARED = "before-the-fork"


def job(lab: Lab, ledger: Ledger, **spec: Any) -> dict[str, Any]:
    return stream_job(lab, ledger.name, ledger.sql, configuration=INCREMENTAL, **spec)


@pytest.fixture(scope="module")
def trunk(lab: Lab) -> Iterator[Ledger]:
    """The first job, with a Checkpoint, and gone on since."""
    lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))  # the store alone
    ledger = Ledger(lab, TRUNK, TRUNK)
    ledger.make_topics()
    lab.create(job(lab, ledger))
    lab.until("the first job runs", lambda: lab.runs(TRUNK))
    ledger.feed(2 * KEYS)
    said = lab.penstock("checkpoint", TRUNK, "--name", SHARED, "--description", "before the fork", "--wait")
    assert said == f"Checkpoint {SHARED} is Present\n"
    ledger.feed(KEYS)
    yield ledger
    for name in (TRUNK, BRANCH):
        lab.kubectl("delete", "streamjob", name, "--ignore-not-found", "--timeout=100s", seconds=110)


@pytest.fixture(scope="module")
def branch(lab: Lab, trunk: Ledger) -> Ledger:
    """The second job, just made; Flink takes no checkpoints of it by itself."""
    ledger = Ledger(lab, BRANCH, TRUNK, fed=trunk.fed)
    ledger.make_topics()
    wish = {"startFrom": {"checkpoint": {"name": SHARED}}, "checkpoints": {"interval": "1h"}}
    manifest = job(lab, ledger, **wish)
    # The interval alone would let the first one come at a random time within it.
    manifest["spec"]["flink"]["configuration"]["execution.checkpointing.min-pause"] = "1 h"
    lab.create(manifest)
    return ledger


@pytest.mark.scenario(
    "a fork: begins with the state of the other job, and reads on from there; the other one does not notice",
    group="replay",
)
def test_a_fork_begins_with_the_state_of_the_other_and_reads_on_from_there(trunk: Ledger, branch: Ledger) -> None:
    lab = trunk.lab
    run = lab.job(TRUNK)["run"]["id"]
    status = lab.until("the fork runs", lambda: lab.runs(BRANCH))
    began = status["startedFrom"]
    where = lab.get("checkpoint", SHARED)["status"]["location"]
    assert (began["kind"], began["checkpoint"], began["location"]) == ("Checkpoint", SHARED, where)
    assert began["confirmed"]
    # Each row that it makes is the first one's for that number: the state of all keys is that of the checkpoint.
    assert branch.position() == 2 * KEYS
    trunk.feed(KEYS)
    branch.fed = trunk.fed
    assert branch.position() == 3 * KEYS
    assert lab.job(TRUNK)["run"]["id"] == run, "the first job must not notice"


@pytest.mark.scenario("a fork: what it began with is not deleted before it has a checkpoint of its own", group="replay")
def test_what_a_fork_started_from_stays_until_it_has_a_checkpoint_of_its_own(trunk: Ledger, branch: Ledger) -> None:
    lab = trunk.lab
    lab.kubectl("delete", "checkpoint", SHARED, "--wait=false")
    found = lab.until(
        "the deletion waits",
        lambda: (c := lab.condition("checkpoint", SHARED, "Deleting")).get("reason") == "InUse" and c,
    )
    assert f"StreamJob {BRANCH} starts from it" in found["message"]
    home = directory_of(lab.get("checkpoint", SHARED))
    assert lab.keys(home)
    lab.kill("jobmanager", BRANCH)
    assert branch.position(90) == 2 * KEYS, "killed before its first checkpoint, it begins with the same state again"
    lab.penstock("checkpoint", BRANCH, "--name", "of-the-fork", "--wait")
    lab.until("the data goes", lambda: not lab.keys(home) and not lab.get("checkpoint", SHARED))
    assert lab.get("checkpoint", "of-the-fork")["status"]["phase"] == "Present"


def test_each_goes_its_own_way_by_command(trunk: Ledger, branch: Ledger) -> None:
    lab = trunk.lab
    said = lab.penstock("stop", BRANCH, "--wait")
    [stop] = [each["metadata"]["name"] for each in lab.checkpoints(BRANCH, "Stop")]
    assert said == f"StreamJob {BRANCH} is stopped, with Checkpoint {stop}\n"
    assert stop in lab.penstock("list", BRANCH)
    assert "Stopped" in lab.penstock("describe", BRANCH)
    branch.fed = trunk.fed + KEYS
    trunk.feed(KEYS)
    said = lab.penstock("restore", BRANCH, "--from", "of-the-fork", "--wait")
    assert said.startswith(f"StreamJob {BRANCH} runs, started from ")
    assert branch.position() == 4 * KEYS
    said = lab.penstock("restore", BRANCH, "--from", "never-taken", "--wait", expect=1)
    assert "CheckpointNotFound" in said
    assert lab.job(BRANCH)["state"] == "Running"
