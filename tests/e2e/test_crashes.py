"""The operator dies at chosen effects of a savepoint, a deletion and a stop, before a real Flink and a real S3 server.

`tests/crash` kills it at every effect before a Flink that is a fake. Here Flink's own history, the end of its job and
the bucket say what came of it: one savepoint for each Checkpoint, and nothing that no Checkpoint names. What is asked
for is killed at each of its effects in a row, and the savepoint at Flink's answer alone, too. The test that is marked
`exhaustive` kills each effect of a savepoint and of a deletion alone in each way, and the stop at Flink's answer alone;
that takes some minutes, and `make test` leaves it out.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from killed import Killed, Plan
from ledger import Ledger
from test_behaviours import ENDLESS, stream_job

from tests.crash.effects import Effect
from tests.crash.faults import KILLS, Way

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Lab


pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.rest, pytest.mark.timeout(4000)]

NAME = "victim"
_ITS_OWN = ("checkpoints/learned", "s3", "flink")


def nowhere(_: Effect) -> Way | None:
    return None


def at(name: str, way: Way, ordinal: int = 1) -> Plan:
    """Once, at the n-th effect of a name."""
    return lambda effect: way if (effect.name, effect.ordinal) == (name, ordinal) else None


def at_each(way: Way) -> Plan:
    """At each effect, every other time: the next operator does it again, or finds it done, and dies at the next.

    What a stop takes away it takes away one after the other, from the first on after each death: twice of each will do.
    """

    def plan(effect: Effect) -> Way | None:
        taken_away = effect.name.startswith("DELETE ") and not effect.name.startswith("DELETE s3")
        return way if effect.ordinal % 2 and not (taken_away and effect.ordinal > 3) else None

    return plan


class Scene:
    """The job, the operator and what is looked at."""

    def __init__(self, lab: Lab, operator: Killed) -> None:
        self.lab, self.operator = lab, operator
        self.directory = lab.directory(NAME)
        self.stopped = ""
        """The savepoint that the job was stopped with; empty: it runs."""
        self.total = 0
        """How often the operator was killed."""
        self.taken: dict[str, int] = {}
        """How many savepoints each run is to have in Flink's history."""

    def checkpoints(self) -> dict[str, dict[str, Any]]:
        return {str(each["metadata"]["name"]): each for each in self.lab.checkpoints(NAME)}

    def stops(self) -> set[str]:
        return {name for name, each in self.checkpoints().items() if each["spec"].get("source") == "Stop"}

    def status(self, name: str) -> dict[str, Any]:
        return dict(self.lab.get("checkpoint", name).get("status") or {})

    def savepoint(self, name: str, plan: Plan) -> None:
        """Taken once, whenever the operator dies."""
        before = len(self.operator.kills)
        self.operator.plan(plan)
        self.lab.take(name, NAME, 90, description="killed")
        run = self.lab.job(NAME)["run"]["id"]
        self.taken[run] = self.taken.get(run, 0) + 1
        self.tell(before)
        self.lab.until("Flink's history has it", lambda: len(self.history(run)) >= self.taken[run], 30, every=0.2)
        self.look()

    def delete(self, name: str, plan: Plan) -> None:
        """All of it goes, whenever the operator dies."""
        before = len(self.operator.kills)
        self.operator.plan(plan)
        self.lab.kubectl("delete", "checkpoint", name, "--timeout=90s", seconds=100)
        self.tell(before)
        self.look()

    def stop(self, plan: Plan) -> None:
        """Ends FINISHED with one savepoint, and leaves nothing else."""
        self.start()
        run, known = self.lab.job(NAME)["run"]["id"], self.stops()
        before = len(self.operator.kills)
        self.operator.plan(plan)
        self.lab.patch({"state": "Stopped"}, NAME)
        self.lab.until("it is stopped", lambda: self.settled("Stopped"), 120)
        self.taken[run] = self.taken.get(run, 0) + 1
        self.tell(before)
        assert self.lab.job(NAME)["run"]["endState"] == "STOPPED"
        assert self.operator.pods.states[run][-1] == "FINISHED", self.operator.pods.states[run]
        [stop] = self.stops() - known
        assert self.status(stop)["phase"] == "Present"
        self.look()
        rest = [key for key in self.lab.keys(self.directory) if not key.startswith(self.directory + "savepoints/")]
        assert rest == [], "Flink's own checkpoints and what its HA has written are gone"
        left = self.lab.items("pods,jobs,deployments,services", labels=f"penstock.dev/run={run}")
        assert not [each for each in left if "deletionTimestamp" not in each["metadata"]]
        self.stopped = stop

    def start(self) -> None:
        """Start the job again when it was stopped, from just that savepoint."""
        if not self.stopped:
            return
        self.operator.plan(nowhere)
        self.lab.patch({"state": "Running"}, NAME)
        status = self.lab.until("it runs again", lambda: self.lab.runs(NAME), 240)
        assert (status["startedFrom"]["checkpoint"], status["startedFrom"]["confirmed"]) == (self.stopped, True)
        self.stopped = ""

    def settled(self, state: str) -> bool:
        found = self.lab.get("streamjob", NAME)
        status = found.get("status") or {}
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", []))
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        return ready and seen and "intent" not in status and status.get("state") == state

    def tell(self, before: int) -> None:
        """Say how often it died, when it writes nothing any more."""
        self.lab.until("the operator is at rest", lambda: self.operator.quiet_seconds > 1.5, 60, every=0.1)
        kills = self.operator.kills[before:]
        names = Counter(kill.partition(" #")[0] for kill in kills)
        self.total += len(kills)
        self.lab.say(
            f"killed {len(kills)} times ({self.total}) at: " + ", ".join(f"{n} x {c}" for n, c in names.items())
        )
        self.operator.check()

    def history(self, run: str) -> list[dict[str, Any]]:
        """The savepoints that Flink knows of a run: now, or when its JobManager was asked last."""
        if run == self.lab.job(NAME)["run"]["id"] and self.lab.pods("jobmanager", NAME):
            entries = Ledger(self.lab, NAME).flink("/checkpoints")["history"]
            return [each for each in entries if each["is_savepoint"]]
        return self.operator.pods.savepoints.get(run, [])

    def died(self, effect: Effect, way: Way) -> None:
        assert self.operator.kills[-1] == f"{effect}, {way}", "the effect did not come"

    def look(self) -> None:
        """One savepoint for each Checkpoint in Flink's history, and in the bucket just what the Checkpoints name."""
        for run, count in self.taken.items():
            told = [(each["id"], each["status"], each.get("external_path")) for each in self.history(run)]
            assert [each[1] for each in told] == ["COMPLETED"] * count, told
            assert len({each[2] for each in told}) == count, told
            asked = [body["triggerId"] for path, body in self.operator.pods.asked if run in path and body]
            assert len(set(asked)) == count, "asked again under another trigger id"
        homes, states = set(), set()
        for checkpoint in self.checkpoints().values():
            if checkpoint["spec"].get("source") == "Retained" or checkpoint["status"]["phase"] != "Present":
                continue
            homes.add(checkpoint["status"]["targetDirectory"].removeprefix("s3://penstock/").rstrip("/") + "/")
            states.add(checkpoint["status"]["location"].removeprefix("s3://penstock/").rstrip("/") + "/")
        keys = self.lab.keys(self.directory + "savepoints/")
        assert {key.removesuffix("_metadata") for key in keys if key.endswith("/_metadata")} == states
        notes = {home + "penstock.json" for home in homes}
        assert notes <= keys.keys()
        assert not [key for key in keys if key not in notes and not key.startswith(tuple(states))]
        assert not self.lab.keys(self.directory + "tombstones/")


@pytest.fixture(scope="module")
def scene(
    lab: Lab, kubeconfig: str, operator_at_rest: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """A job that takes no checkpoints by itself, so that all effects are of what the test asks for."""
    del operator_at_rest
    folder: Path = tmp_path_factory.mktemp("killed")
    operator = Killed(lab, kubeconfig, folder)
    operator.open()
    try:
        lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))  # the store alone
        kept = {"interval": "1h", "retention": {"numRetained": 50}}
        lab.create(stream_job(lab, NAME, ENDLESS, checkpoints=kept, onDelete={"checkpoints": "Delete"}))
        lab.until("the victim runs", lambda: lab.runs(NAME))
        yield Scene(lab, operator)
    finally:
        # Nobody else takes finalizers away.
        operator.plan(nowhere)
        lab.kubectl("delete", "streamjob", NAME, "--ignore-not-found", "--timeout=100s", seconds=110)
        lab.kubectl("delete", "checkpoints", "--all", "--timeout=60s", seconds=70)
        lab.kubectl("delete", "checkpointstore", lab.store, "--ignore-not-found", "--timeout=40s")
        operator.close()


def test_a_savepoint_and_its_deletion_when_the_operator_dies_at_each_effect(scene: Scene) -> None:
    for way in KILLS:
        name = f"each-{way.name.lower()}"
        scene.savepoint(name, at_each(way))
        scene.delete(name, at_each(way))


def test_a_savepoint_that_is_asked_for_just_as_the_operator_dies(scene: Scene) -> None:
    for way in KILLS:
        scene.savepoint(f"asked-{way.name.lower()}", at("POST flink savepoints", way))


@pytest.mark.parametrize("way", KILLS, ids=[way.name.lower() for way in KILLS])
def test_a_stop_when_the_operator_dies_at_each_effect(scene: Scene, way: Way) -> None:
    scene.stop(at_each(way))


@pytest.mark.exhaustive
def test_every_effect_alone(scene: Scene) -> None:
    scene.start()
    scene.savepoint("learned", nowhere)
    effects = own(scene)
    scene.lab.say("a savepoint: " + ", ".join(map(str, effects)))
    scene.delete("learned", nowhere)
    gone = own(scene)
    scene.lab.say("a deletion: " + ", ".join(map(str, gone)))
    for effect in effects:
        for way in KILLS:
            scene.savepoint("learned", at(effect.name, way, effect.ordinal))
            scene.died(effect, way)
            scene.delete("learned", nowhere)
    for effect in gone:
        for way in KILLS:
            scene.savepoint("learned", nowhere)
            scene.delete("learned", at(effect.name, way, effect.ordinal))
            scene.died(effect, way)
    for way in KILLS:
        scene.stop(at("POST flink stop", way))
        scene.died(Effect("POST flink stop", 1), way)


def own(scene: Scene) -> list[Effect]:
    """The effects that are of the Checkpoint itself: what is written of the job beside them comes when it comes."""
    return [each for each in scene.operator.effects if any(word in each.name for word in _ITS_OWN)]
