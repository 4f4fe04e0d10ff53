"""A toy world for decide: Kubernetes, Flink and the store as dicts, and an operator that may die after any operation.

One `reconcile` is one pass: look, decide, carry out, write. Effects and status writes are counted; `crash_after` drops
the rest of the pass after that operation, as a killed process would. `tick` lets the world move: pods come and go,
JobManagers ask the guard, Flink completes checkpoints. What must never happen is collected in `violations`.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from penstock import model
from penstock.api.base import dump
from penstock.api.checkpoint import Checkpoint, Phase, Source
from tests.unit import builders
from tests.unit.builders import PLACE
from tests.unit.decide.toy.operator import Operator
from tests.unit.decide.toy.tape import Tape

_QUIET = 2
"""After more passes in a row than that in which nothing happened nothing will."""


class Toy(Operator):
    """The world, with an operator in it."""

    def __init__(self, **spec: Any) -> None:
        super().__init__()
        stream_job = builders.job(finalizers=(), **spec)
        self._put("", dump(stream_job) | {"status": {}})

    # ------------------------------------------------------------ how time passes

    def settle(self, limit: int = 250) -> None:
        """Let the operator and the world go on until nothing changes any more."""
        quiet, passed = self.tape.begin(self) if self.tape is not None else (0, 0)
        while quiet <= _QUIET and passed < limit:
            if self.tape is not None:
                self.tape.keep(self, quiet, passed)
            decision = self.reconcile()
            pause = decision.after_seconds if decision is not None else 1.0
            busy = decision is None or any(_is_busy(step) for step in decision.steps)
            job = self.job
            busy = busy or (job is not None and job.status.intent is not None) or (pause is not None and pause < 5)
            quiet, passed = 0 if busy else quiet + 1, passed + 1
            if quiet <= _QUIET:
                self.tick(min(10.0, 1.0 if pause is None else max(pause, 0.2)))
        if self.tape is not None:
            self.tape.keep(self, quiet, passed)
        if quiet > _QUIET:
            return
        tail = "\n".join(self.trace[-25:])
        raise AssertionError(f"not settled after {limit} passes:\n{tail}")

    def tick(self, seconds: float) -> None:
        """Time passes; the world makes at most five moves."""
        moves = max(1, min(5, round(seconds)))
        for _ in range(moves):
            self.now += timedelta(seconds=seconds / moves)
            self._try_programs()
            for run, deployed in self.runs.items():
                self._pods(run, deployed)
                if deployed.process is not None:
                    self._job(run, deployed, deployed.process)
            alive = [run for run, each in self.runs.items() if each.process is not None and each.process.live]
            if len(alive) > 1:
                self.violations.append(f"runs {alive} live at the same time")

    # ------------------------------------------------------------ what a test asks

    def checkpoint(self, name: str) -> Checkpoint:
        found: Checkpoint = self._read(name)
        return found

    def of_source(self, source: str, phase: Phase = Phase.PRESENT) -> list[Checkpoint]:
        return [each for each in self.checkpoints if each.spec.source == source and each.status.phase is phase]

    def untrue(self) -> list[str]:
        """Retained Checkpoints that say Present without data, and what ended runs have left that has no object."""
        named = [each for each in self.checkpoints if each.spec.source is Source.RETAINED]
        lying = {f"{PLACE.key_of(each.status.location)}/_metadata" for each in named if each.status.phase == "Present"}
        there = {key for key, file in self.store.items() if "/checkpoints/" in key and file.number}
        running = tuple(f"/checkpoints/{run}/" for run, each in self.runs.items() if each.process and each.process.live)
        ended = {key for key in there if not any(part in key for part in running)} if self.job else set()
        return sorted(lying - there) + sorted(ended - lying)

    def summary(self, *keys: str) -> dict[str, Any]:
        """The end state, without ids and times; `keys`: this part of it."""
        job = self.job
        whole = {
            "state": job.status.state if job else "gone",
            "intent": job.status.intent if job else None,
            "version": job.status.job_version if job else 0,
            "applied": dump(job.status.applied) if job and job.status.applied else None,
            "end": job.status.run.end_state if job and job.status.run else None,
            "ready": job and next((c.status for c in job.status.conditions if c.type == "Ready"), ""),
            "from": job.status.started_from.kind if job and job.status.started_from else None,
            "live": len(self.live),
            "checkpoints": sorted(
                # How many of Flink's own have an object depends on the seconds that passed; see `untrue`.
                (each.spec.source, str(each.status.phase))
                for each in self.checkpoints
                if each.spec.source is not Source.RETAINED
            ),
            "untrue": self.untrue(),
            "savepoints": sum("/savepoints/" in key and key.endswith("/_metadata") for key in self.store),
            "starts": len(self.starts),
            "programs": len(self.programs),
        }
        return {key: whole[key] for key in keys or whole}


def _is_busy(step: model.Step) -> bool:
    """Whether something goes on. Flink's own checkpoints come without end, and with them an object a minute."""
    retained = [each for each in step.effects if isinstance(each, model.CreateCheckpoint) and each.source == "Retained"]
    return len(step.effects) > len(retained) or bool(step.events)


Scenario = Callable[[Toy], None]


@functools.cache
def _played(scenarios: tuple[Scenario, ...]) -> Toy:
    if not scenarios:
        return Toy()
    toy = after(*scenarios[:-1])
    scenarios[-1](toy)
    return toy


def after(*scenarios: Scenario) -> Toy:
    """A world of its own after these scenarios, in none of which anything went wrong."""
    return copy.deepcopy(_played(scenarios))


def disturbed(story: tuple[Scenario, ...], disturbance: Callable[[Toy], None]) -> Iterator[tuple[Toy, str]]:
    """The world after a story in whose last scenario the operator died, for each place where it can die."""
    whole = after(*story[:-1])
    first, tape = whole.operations + 1, Tape()
    whole.tape = tape
    story[-1](whole)
    for position in range(first, whole.operations + 1):
        toy = after(*story[:-1])
        toy.crash_after, toy.on_crash, toy.tape = position, disturbance, tape.played()
        story[-1](toy)
        yield toy, f"after operation {position}:\n" + "\n".join(toy.trace[-60:])
