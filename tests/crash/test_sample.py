"""A sample of `make crash`, always the same points of all scenarios; and the harness fails when it should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.crash import report, runner
from tests.crash.effects import Effect
from tests.crash.faults import Fault, Way
from tests.crash.run import Lab
from tests.crash.scenarios import SCENARIOS, Scenario

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
KILLS_STEP, ERRORS_STEP = 23, 97
SIDE_BY_SIDE = 10


def _quiet(scenario: Scenario) -> float:
    """A scenario that has waited for the clock keeps all the others waiting as long as it is looked at."""
    return 5.0 if scenario.waits else runner.QUIET_SECONDS


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    opened = await Lab.open(tmp_path)
    yield opened
    await opened.close()


async def test_an_operator_that_dies_anywhere_makes_no_difference(lab: Lab):
    learned = await asyncio.gather(*(runner.learn(lab, each, _quiet(each)) for each in SCENARIOS))
    work = []
    for each in learned:
        faults = runner.points(each, errors=1, seed=0)
        kills = [fault for fault in faults if fault.way.kills]
        errors = [fault for fault in faults if not fault.way.kills]
        work += [(each, fault) for fault in runner.every(kills, KILLS_STEP) + runner.every(errors, ERRORS_STEP)]
    outcomes = await runner.play_all(lab, work, SIDE_BY_SIDE, report.Teller(len(work)))
    print(report.table(learned, outcomes))
    print(report.last_line(learned, outcomes))
    problems = [problem for each in learned for problem in each.problems]
    problems += [f"{each.scenario}: {each.point}: {each.problem}" for each in outcomes if each.problem]
    assert problems == []
    assert report.unreached(learned) == []
    assert len(outcomes) == len(work) > 50


@pytest.mark.parametrize(("broken", "way"), [("forgets-trigger-ids", Way.GIVEN), ("acts-before-the-intent", Way.LOST)])
async def test_a_broken_operator_is_found_out(lab: Lab, monkeypatch: pytest.MonkeyPatch, broken: str, way: Way):
    """Without a crash it does what it should; killed at the wrong moment it takes a second savepoint."""
    monkeypatch.setattr(runner, "_PATIENCE_SECONDS", 5.0)
    scenario = next(each for each in SCENARIOS if each.name == "checkpoint")
    learned = await runner.learn(lab, scenario, quiet_seconds=3, broken=broken)
    assert learned.problems == []
    outcome = await runner.play(lab, learned, Fault(Effect("POST flink savepoints", 1), way))
    assert "savepoint 3 of run 1" in outcome.problem
