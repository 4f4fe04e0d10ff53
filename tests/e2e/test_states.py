"""Incremental RocksDB checkpoints on a real Flink and a real S3 server: what is deleted, what stays, what comes back.

One job has savepoints of both formats, retention at work, a deletion by hand, and is cancelled, so that some of Flink's
own checkpoints are left, which share files. One of those is deleted and the bucket compared key by key. After a second
run every Checkpoint that is still Present is restored, and the state that came back is compared with the oracle's
(`ledger.py`).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from ledger import INCREMENTAL, KEYS, NAME, Batch, Ledger, directory_of, files_of, metadata_files
from test_behaviours import stream_job

if TYPE_CHECKING:
    from lab import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.timeout(900)]


@dataclass
class Past:
    """What the job has left."""

    lab: Lab
    ledger: Ledger
    taken: dict[str, range] = field(default_factory=dict)
    """Of each savepoint by its Checkpoint's name, and of Flink's own ones by location: the positions it may have."""
    gone: list[str] = field(default_factory=list)
    """Directories of what retention or a user has deleted."""

    def status(self, name: str) -> dict[str, Any]:
        return dict(self.lab.get("checkpoint", name).get("status") or {})

    def take(self, name: str, form: str, **spec: Any) -> None:
        """A savepoint while nothing is fed: its position is known exactly."""
        self.lab.take(name, NAME, format=form, **spec)
        self.taken[name] = range(self.ledger.fed, self.ledger.fed + 1)

    def clear(self, name: str) -> None:
        """Wait until retention has cleared one."""
        self.lab.until(f"{name} is Cleared", lambda: self.status(name).get("phase") == "Cleared", every=0.2)
        self.gone.append(str(self.status(name)["targetDirectory"]))

    def delete(self, name: str) -> None:
        status = self.status(name)
        self.gone.append(status.get("targetDirectory") or status["location"])
        self.lab.kubectl("delete", "checkpoint", name, "--timeout=40s")

    def run(self, batches: int) -> None:
        """Some of Flink's own checkpoints, each of another position."""
        for _ in range(batches):
            self.ledger.feed(250)
            self.ledger.until_checkpoint()

    def stop(self, how: str) -> None:
        """Stop the job; with `LatestCheckpoint` several of Flink's own checkpoints of this run stay."""
        for entry in self.ledger.history():
            times = entry["trigger_timestamp"] / 1000, entry["latest_ack_timestamp"] / 1000
            self.taken[entry["external_path"].rstrip("/")] = self.ledger.bounds(*times)
        self.lab.patch({"state": "Stopped", "checkpoints": {"onStop": how}}, NAME)
        self.lab.until(f"it is stopped ({how})", lambda: self.lab.job(NAME).get("state") == "Stopped")

    def present(self) -> dict[str, dict[str, Any]]:
        """The Present Checkpoints by name."""
        own = {each["metadata"]["name"]: each for each in self.lab.checkpoints(NAME)}
        return {name: each for name, each in own.items() if (each.get("status") or {}).get("phase") == "Present"}

    def expected(self, checkpoint: dict[str, Any]) -> range:
        """The positions that a Checkpoint may have. What Flink took after the last look has that of the end."""
        status = checkpoint["status"]
        known = self.taken.get(checkpoint["metadata"]["name"]) or self.taken.get(status["location"])
        completed = datetime.fromisoformat(status["completionTime"]).timestamp()
        # The store's times are whole seconds.
        return known or self.ledger.bounds(completed, completed + 1)


@pytest.fixture(scope="module")
def past(lab: Lab) -> Past:
    """A job that was cancelled, with savepoints of both formats and three of Flink's own checkpoints left."""
    lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))  # the store alone
    past = Past(lab, Ledger(lab))
    past.ledger.make_topics()
    # Long enough that the last ones of a cancelled run are of different positions.
    kept = {"interval": "4s", "retention": {"numRetained": 3}}
    spec = {"checkpoints": kept, "onDelete": {"checkpoints": "Delete"}}
    job = stream_job(lab, NAME, past.ledger.sql, parallelism=2, configuration=INCREMENTAL, **spec)
    job["spec"]["taskManager"]["slots"] = 2
    lab.create(job)
    lab.until("the ledger runs", lambda: lab.runs(NAME))
    past.ledger.feed(2 * KEYS)
    past.take("canonical-one", "Canonical")
    past.ledger.feed(250)
    past.take("native-one", "Native")
    past.ledger.feed(250)
    past.take("pinned", "Native", pinned=True)
    past.take("native-two", "Native")
    past.ledger.feed(250)
    past.take("canonical-two", "Canonical")
    past.clear("canonical-one")
    past.ledger.feed(250)
    past.take("native-three", "Native")
    past.clear("native-one")
    past.delete("native-two")
    past.run(4)
    past.stop("LatestCheckpoint")
    return past


def test_one_of_several_that_share_files_is_deleted_to_its_last_byte_and_no_further(past: Past) -> None:
    lab, directory = past.lab, past.lab.directory(NAME)
    lab.until("what the run has left is Present", lambda: sources(past).count("Retained") == 3, 30)
    before = lab.keys(directory)
    needs = {where: files_of(where, body) for where, body in metadata_files(lab, before).items()}
    assert all(files <= before.keys() for files in needs.values()), "what lies there is not whole"
    run = lab.job(NAME)["run"]["id"]
    retained = {directory_of(each): name for name, each in past.present().items() if f"/{run}/chk-" in str(each)}
    assert len(retained) == 3

    def alone(where: str) -> set[str]:
        return needs[where] - set().union(*(files for other, files in needs.items() if other != where))

    neighbours = {
        where: [other for other in retained if other != where and needs[where] & needs[other]] for where in retained
    }
    for where, name in retained.items():
        lab.say(
            f"{name}: {len(needs[where])} files, {len(alone(where))} its alone, {len(neighbours[where])} neighbours"
        )
    # Not the newest, so that a newer one needs its files; one that shares, and with the most in `shared/` of its alone.
    older = sorted(retained, key=lambda where: int(where.rstrip("/").rpartition("-")[2]))[:-1]
    sharing = [where for where in older if neighbours[where]]
    victim = max(sharing, key=lambda where: len([key for key in alone(where) if "/shared/" in key]))
    assert [key for key in alone(victim) if "/shared/" in key]

    going = {key: size for key, size in before.items() if key in alone(victim) or key.startswith(victim)}
    past.delete(retained[victim])
    lab.say(f"{retained[victim]} is deleted: {len(going)} keys, {sum(going.values())} bytes")
    assert lab.keys(directory) == {key: size for key, size in before.items() if key not in going}
    assert f"its data is gone, {sum(going.values())} bytes freed" in messages(lab, retained[victim], "Deleted")


def messages(lab: Lab, name: str, reason: str) -> list[str]:
    fields = f"involvedObject.name={name},reason={reason}"
    return [str(each["message"]) for each in lab.items("events", fields=fields)]


def test_a_second_run_goes_on_from_the_newest_and_is_stopped_with_a_savepoint(past: Past) -> None:
    lab, ledger, fed = past.lab, past.ledger, past.ledger.fed
    # What Flink takes by itself in this run is not to push out what the first one has left.
    keep = {"onUpgrade": "LatestCheckpoint", "retention": {"numRetained": 20}}
    lab.patch({"state": "Running", "checkpoints": keep}, NAME)
    status = lab.until("it runs again", lambda: lab.runs(NAME))
    assert (status["startedFrom"]["kind"], status["startedFrom"]["confirmed"]) == ("Retained", True)
    began = time.time()
    ledger.add(KEYS)
    assert ledger.position() in past.expected(lab.get("checkpoint", status["startedFrom"]["checkpoint"]))
    assert ledger.fed == fed + KEYS
    ledger.batches.append(Batch(ledger.fed, began, time.time()))
    past.run(1)
    past.stop("Savepoint")
    [stop] = [name for name in past.present() if name.startswith(f"{NAME}-stop-")]
    past.taken[stop] = range(ledger.fed, ledger.fed + 1)


def test_every_checkpoint_that_is_left_brings_back_exactly_its_state(past: Past) -> None:
    lab, ledger = past.lab, past.ledger
    # Flink has deleted its own ones of the run that was stopped with a savepoint; the objects follow.
    expected = ["Manual"] * 3 + ["Retained"] * 2 + ["Stop"]
    lab.until("only what is to be restored is Present", lambda: sources(past) == expected, 30)
    present = past.present()
    ledger.add(KEYS)  # so many that each key makes a row after each restore, whichever it is
    for name, checkpoint in present.items():
        restore(past, name)
        status = lab.until(f"it runs from {name}", lambda name=name: started_from(lab, name))
        began = status["startedFrom"]
        assert (began["location"], began["confirmed"]) == (checkpoint["status"]["location"], True)
        position = ledger.position()
        assert position + KEYS <= ledger.fed
        possible = past.expected(checkpoint)
        assert position in possible, f"{name} brought back the position {position}, not {possible}"
        lab.say(f"{name}: all {KEYS} keys are those of position {position}, one of {len(possible)} possible")
    assert past.present().keys() >= present.keys(), "restoring takes nothing away"
    for where in past.gone:
        assert not lab.keys(where.removeprefix("s3://penstock/").rstrip("/") + "/")


def sources(past: Past) -> list[str]:
    return sorted(each["spec"].get("source", "Manual") for each in past.present().values())


def restore(past: Past, name: str) -> None:
    # No checkpoints of the runs that are only looked at: they would be more to restore.
    wish = {"latest": None, "checkpoint": {"name": name}}
    past.lab.patch({"state": "Running", "startFrom": wish, "checkpoints": {"interval": "1h"}}, NAME)


def started_from(lab: Lab, name: str) -> dict[str, Any] | None:
    status = lab.runs(NAME)
    return status if status and status["startedFrom"].get("checkpoint") == name else None


def test_the_job_goes_with_everything_that_is_not_pinned(past: Past) -> None:
    lab, directory = past.lab, past.lab.directory(NAME)
    pinned = directory_of(lab.get("checkpoint", "pinned")).rsplit("/", 2)[0] + "/"
    before = lab.keys(pinned)
    lab.kubectl("delete", "streamjob", NAME, "--timeout=100s", seconds=110)
    assert lab.keys(directory) == before
    assert json.loads(lab.s3().get_object(Bucket="penstock", Key=pinned + "penstock.json")["Body"].read())
