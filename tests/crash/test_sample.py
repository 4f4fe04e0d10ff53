"""A sample of `make crash`, of the points of all scenarios; and the harness fails when it should.

It is every so many-th of what `make crash` plays, so each one stands for what is folded into it, too. All of it goes on
at once: while one scenario waits for a minute of the clock, the others are played.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.crash import report, runner
from tests.crash.effects import Effect
from tests.crash.faults import ERRORS, KILLS, Fault, Nth, Way
from tests.crash.folding import Folded
from tests.crash.run import Lab, Run
from tests.crash.runner import Learned, Outcome, Room
from tests.crash.scenarios import SCENARIOS, Scenario

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]
KILLS_STEP, ERRORS_STEP = 23, 97
SIDE_BY_SIDE = 10
AHEAD = 24
"""So many effects of a scenario that waits for the clock have their points played while it is still being learned."""
BROKEN = (("forgets-trigger-ids", Way.GIVEN), ("acts-before-the-intent", Way.LOST))


@dataclass
class Played:
    """What came of everything."""

    learned: list[Learned]
    outcomes: list[Outcome]
    broken: dict[str, tuple[Learned, Outcome]]
    spare: list[Outcome]
    """Of points that began before anybody knew that there is no such effect."""
    left: list[str]
    """What ended runs have left behind."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    opened = await Lab.open(tmp_path_factory.mktemp("crash"))
    yield opened
    await opened.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(lab: Lab) -> Played:
    room = Room(SIDE_BY_SIDE)
    # Those that wait begin first: nothing else takes as long.
    scenarios = sorted(SCENARIOS, key=lambda each: not each.waits)
    sample, *broken = await asyncio.gather(
        asyncio.gather(*(_scenario(lab, each, Room(99) if each.waits else room) for each in scenarios)),
        *(_broken(lab, name, way, room) for name, way in BROKEN),
    )
    learned = sorted((each for each, _, _ in sample), key=lambda each: SCENARIOS.index(each.scenario))
    outcomes = [outcome for _, several, _ in sample for outcome in several]
    spare = [outcome for _, _, several in sample for outcome in several]
    left = [key for number in range(1, lab.runs + 1) for key in await _left(lab, f"run-{number:05}")]
    return Played(learned, outcomes, dict(zip((name for name, _ in BROKEN), broken, strict=True)), spare, left)


async def _left(lab: Lab, namespace: str) -> list[str]:
    files = lab.plane.files(namespace)
    return [*await lab.etcd.left(namespace), *([str(files)] if files.exists() else [])]


def _points(effects: Sequence[Effect | Nth]) -> list[Fault]:
    return _sample([Fault(effect, way) for effect in effects for way in (*KILLS, *ERRORS)])


def _sample(faults: Sequence[Fault]) -> list[Fault]:
    kills = [each for each in faults if each.way.kills]
    errors = [each for each in faults if not each.way.kills]
    return runner.every(kills, KILLS_STEP) + runner.every(errors, ERRORS_STEP)


def _chosen(learned: Learned) -> list[Fault]:
    """The points of a scenario that is learned. Of one that waits they have begun before anybody could fold them."""
    if learned.scenario.waits:
        return _points(learned.effects)
    work = runner.folded([(learned, fault) for fault in runner.points(learned, errors=1, seed=0)])
    return _sample([fault for _, fault in work.points])


async def _scenario(lab: Lab, scenario: Scenario, room: Room) -> tuple[Learned, list[Outcome], list[Outcome]]:
    """Learn it and play its points."""
    learning = asyncio.create_task(runner.learn(lab, scenario, room))

    async def expected() -> Learned:
        return (await learning)[0]

    async def play(fault: Fault) -> Outcome:
        async with room:
            return await runner.play(lab, scenario, fault, known)

    known = asyncio.create_task(expected())
    early = _points([Nth(number) for number in range(AHEAD)]) if scenario.waits else []
    begun = {fault: asyncio.create_task(play(fault)) for fault in early}
    learned, rest = await learning
    ahead = {Fault(learned.effects[each.effect.number], each.way): each for each in begun if _came(each, learned)}
    outcomes = await asyncio.gather(
        *(begun[ahead[fault]] if fault in ahead else play(fault) for fault in _chosen(learned))
    )
    spare = await asyncio.gather(*(task for fault, task in begun.items() if fault not in ahead.values()))
    await rest
    return learned, outcomes, spare


def _came(fault: Fault, learned: Learned) -> bool:
    return isinstance(fault.effect, Nth) and fault.effect.number < len(learned.effects)


async def _broken(lab: Lab, broken: str, way: Way, room: Room) -> tuple[Learned, Outcome]:
    """Without a crash it does what it should; killed at the wrong moment it takes a second savepoint."""
    scenario = next(each for each in SCENARIOS if each.name == "checkpoint")
    learned, rest = await runner.learn(lab, scenario, room, quiet_seconds=3, broken=broken)
    fault = Fault(Effect("POST flink savepoints", 1), way)
    async with room:
        outcome = await runner.play(lab, scenario, fault, learned, broken=broken, patience_seconds=5.0)
    await rest
    return learned, outcome


async def test_an_operator_that_dies_anywhere_makes_no_difference(played: Played):
    print(report.table(played.learned, played.outcomes))
    problems = [problem for each in played.learned for problem in each.problems]
    problems += [f"{each.scenario}: {each.point}: {each.problem}" for each in played.outcomes if each.problem]
    assert problems == []
    assert report.unreached(played.learned) == []
    assert {each.problem for each in played.spare} <= {"the effect did not come; the end state is the same"}
    assert len(played.outcomes) == sum(len(_chosen(each)) for each in played.learned)
    not_as_learned = {(each.scenario, each.point) for each in played.outcomes if not each.as_learned}
    also = [(each.scenario.name, str(folded.into)) for each in played.learned for folded in _also(each)]
    stood_for = len(played.outcomes) + len([each for each in also if each not in not_as_learned])
    assert stood_for > 50, "points that were played, and those that are the same as one of them"


def _also(learned: Learned) -> list[Folded]:
    """What is the same as one of the points that are played."""
    chosen = set(_chosen(learned))
    work = runner.folded([(learned, fault) for fault in runner.points(learned, errors=1, seed=0)])
    return [each for _, each in work.folded if each.into in chosen]


async def test_points_are_folded_in_every_scenario(played: Played):
    found = [(each, fault) for each in played.learned for fault in runner.points(each, errors=1, seed=0)]
    work = runner.folded(found)
    assert len(work.points) + len(work.folded) == len(found)
    assert {each.scenario.name for each, _ in work.folded} == {each.name for each in SCENARIOS}


@pytest.mark.parametrize("broken", [name for name, _ in BROKEN])
async def test_a_broken_operator_is_found_out(played: Played, broken: str):
    learned, outcome = played.broken[broken]
    assert learned.problems == []
    assert "savepoint 3 of run 1" in outcome.problem


async def test_of_an_ended_run_nothing_is_left(lab: Lab, played: Played):
    outcomes = [*played.outcomes, *played.spare, *(outcome for _, outcome in played.broken.values())]
    diverged = {each.log.rpartition("/")[2].removesuffix(".log") for each in outcomes if each.problem}
    assert [key for key in played.left if not diverged & set(key.split("/"))] == []
    assert played.left  # but of those that are to be looked at
    # Nor is anything made of it afterwards, by a controller that has still known it.
    assert [key for number in range(1, lab.runs + 1) for key in await _left(lab, f"run-{number:05}")] == played.left


async def test_an_ended_run_is_gone_for_the_api_server_at_once(lab: Lab):
    run = Run(lab)
    await run.open()
    await run.make_store()
    await run.close()
    path = f"/api/v1/namespaces/{run.namespace}"
    assert await lab.api.call("GET", path) is None
    found = await lab.api.call("GET", f"{path}/secrets?resourceVersion=0")  # out of its cache
    assert found is not None
    assert found["items"] == []
