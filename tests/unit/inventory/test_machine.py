"""Never delete what is referenced: states are taken, deleted, and the operator dies at any call to the store.

The model knows which files each state needs from the moment it was taken, and never looks into the store to find out.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock.inventory import deletion, tombstone
from penstock.inventory.deletion import Progress
from tests.unit.builders import HOME, uid
from tests.unit.inventory import lake
from tests.unit.inventory.lake import Died, Lake

EXAMPLES = int(os.environ.get("PENSTOCK_MACHINE_EXAMPLES", "40"))
"""Walks of 40 steps each; 250 of them are 10,000 steps."""
pytestmark = pytest.mark.timeout(60 + 5 * EXAMPLES)


@dataclass
class State:
    """What the model knows of one state."""

    number: int
    directory: str
    files: dict[str, int]
    """Everything but its `_metadata`, also in directories of others."""
    run: str = ""
    """Empty: a savepoint."""
    size: int = 0
    begun: bool = False
    freed: int = 0
    beside: bool = False
    """Whether it was deleted while another deletion had stopped half-way: what both would take, either may take."""


@dataclass
class Run:
    """One run: what its next checkpoint may share, and whether it has ended."""

    id: str
    ended: bool = False
    last: list[str] = field(default_factory=list)


class Deletions(RuleBasedStateMachine):
    """The store with one job."""

    @initialize()
    def begin(self) -> None:
        self.store = Lake()
        self.states: list[State] = []
        self.runs: list[Run] = [Run(lake.RUNS[0])]
        self.sizes: dict[str, int] = {}
        self.counter = 0
        self.freed = self.told = 0
        self.started = 0

    # ------------------------------------------------------------ what Flink does

    def _next(self) -> int:
        self.counter += 1
        return self.counter

    def _file(self, key: str) -> str:
        size = self._next() % 7 + 1
        self.sizes[key] = size
        self.store.keys[key] = bytes(size)
        return key

    @property
    def live(self) -> Run | None:
        return None if self.runs[-1].ended else self.runs[-1]

    @precondition(lambda self: self.live is not None)
    @rule(
        new=st.integers(0, 4),
        own=st.integers(0, 2),
        reused=st.lists(st.integers(0, 50), max_size=6),
        claimed=st.booleans(),
        partial=st.booleans(),
    )
    def checkpoint(self, new: int, own: int, reused: list[int], *, claimed: bool, partial: bool) -> None:
        """A checkpoint that shares files with the one before, or (after a CLAIM restore) with those of other runs."""
        run, number = self.live, self._next()
        assert run is not None
        directory = lake.chk(number, run.id)
        files = [self._file(lake.shared(f"f{self._next()}", run.id)) for _ in range(new)]
        files += [self._file(f"{directory}x{self._next()}") for _ in range(own)]
        known = list(run.last)
        if claimed:
            known += [key for each in self._standing() if each.run for key in each.files if "/shared/" in key]
        files += [known[each % len(known)] for each in reused if known]
        if partial:
            return
        self._take(State(number, directory, {key: self.sizes[key] for key in files}, run.id))
        run.last = [key for key in files if "/shared/" in key]

    @rule(count=st.integers(0, 5))
    def savepoint(self, count: int) -> None:
        number = self._next()
        target = f"{HOME}savepoints/{uid(number)}/"
        directory = f"{target}savepoint-aaaaaa-{number:012x}/"
        files = [self._file(f"{directory}x{each}") for each in range(count)] + [self._file(f"{target}penstock.json")]
        self._take(State(number, target, {key: self.sizes[key] for key in files}), inside=directory)

    def _take(self, state: State, inside: str = "") -> None:
        named = {key: size for key, size in state.files.items() if not key.endswith("penstock.json")}
        self.store.add_state(inside or state.directory, named, state.number)
        key = f"{inside or state.directory}_metadata"
        state.size = self.store.size_of(key)
        state.files = state.files | {key: state.size}
        self.states.append(state)

    @precondition(lambda self: self.live is not None)
    @rule(waste=st.booleans())
    def end(self, *, waste: bool) -> None:
        run = self.live
        assert run is not None
        if waste:
            self._file(f"{HOME}checkpoints/{run.id}/taskowned/t{self._next()}")
            self._file(lake.shared(f"w{self._next()}", run.id))
        run.ended = True

    @precondition(lambda self: self.live is None and len(self.runs) < len(lake.RUNS))
    @rule()
    def start(self) -> None:
        self.runs.append(Run(lake.RUNS[len(self.runs)]))

    # ------------------------------------------------------------ what Penstock does

    def _may_go(self, state: State) -> bool:
        return not state.run or next(run for run in self.runs if run.id == state.run).ended

    def _standing(self) -> list[State]:
        return [state for state in self.states if not state.begun]

    @precondition(lambda self: any(self._may_go(state) for state in self.states))
    @rule(which=st.integers(0, 100), dies=st.integers(1, 30), partly=st.sampled_from([0, 300, 700, 1000]))
    def delete_and_die(self, which: int, dies: int, partly: int) -> None:
        """The process may be killed in it; it need not come that far."""
        self.store.die_in, self.store.partly = dies, partly
        try:
            self._delete(which)
        except Died:
            pass
        finally:
            self.store.die_in = None

    @precondition(lambda self: any(self._may_go(state) for state in self.states))
    @rule(which=st.integers(0, 100), slow=st.booleans())
    def delete(self, which: int, *, slow: bool) -> None:
        state, progress = self._delete(which, slow=slow)
        if not progress.done:
            assert slow
            return
        self.states.remove(state)
        assert state.beside or progress.freed == state.freed
        self.told += progress.freed
        named = {key for each in self.states for key in each.files}
        left = [key for key in state.files if key in self.store.keys and key not in named and not self._pending(key)]
        assert left == [], "a deleted state left what nobody names"
        asyncio.run(tombstone.forget(self.store, HOME, uid(state.number)))

    def _pending(self, key: str) -> bool:
        return any(key in each.files for each in self.states if each.begun)

    def _delete(self, which: int, *, slow: bool = False) -> tuple[State, Progress]:
        able = [state for state in self.states if self._may_go(state)]
        state = able[which % len(able)]
        for other in self.states:
            if other.begun and other is not state:
                state.beside = other.beside = True
        before = self.store.used()
        try:
            return state, asyncio.run(self._deletion(state, slow=slow))
        finally:
            state.freed += before - self.store.used()
            self.freed += before - self.store.used()
            metadata = next(key for key in state.files if key.endswith("_metadata"))
            state.begun = metadata not in self.store.keys

    async def _deletion(self, state: State, *, slow: bool) -> Progress:
        ticks = iter(range(0, 10_000, 2)) if slow else iter([0.0] * 10_000)
        of = lake.subject(state.directory, state.number)
        if not state.run:
            return await deletion.delete_savepoint(self.store, of, ticks=lambda: next(ticks))
        live = {self.live.id} if self.live else set()
        return await deletion.delete_retained(self.store, of, run_ended=True, live=live, ticks=lambda: next(ticks))

    # ------------------------------------------------------------ what must always be true

    @invariant()
    def every_surviving_state_is_whole(self) -> None:
        for state in self._standing():
            for key, size in state.files.items():
                assert key in self.store.keys, f"{state.directory} lost {key}"
                assert self.store.size_of(key) == size

    @invariant()
    def what_a_live_run_wrote_is_there(self) -> None:
        if self.live is not None:
            head = f"{HOME}checkpoints/{self.live.id}/"
            assert [key for key in self.sizes if key.startswith(head) and key not in self.store.keys] == []

    def teardown(self) -> None:
        """In the end everything is deleted: then nothing at all may be left, but what never had a state."""
        if not hasattr(self, "store"):
            return
        for run in self.runs:
            run.ended = True
        stateful = {state.run for state in self.states}
        while self.states:
            self.delete(0, slow=False)
            self.every_surviving_state_is_whole()
        assert self.told == self.freed, "bytes that were freed once are told of once"
        left = [key for key in self.store.keys if "/tombstones/" in key or "/savepoints/" in key]
        left += [key for key in self.store.keys if key.split("/")[4] in stateful]
        assert left == []


Deletions.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
TestDeletions = Deletions.TestCase
