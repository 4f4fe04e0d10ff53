"""Stories of changes that are tried first, and of the operator that dies after each operation of them."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.api import constants
from penstock.api.streamjob_status import StartKind
from tests.unit.decide.test_scenarios import RUNNING, UPGRADE, create, restore_older, take
from tests.unit.decide.toy import Scenario, Toy, after, disturbed
from tests.unit.decide.toy.flink import DROPS, NO_GRAPH, SILENT

Story = tuple[Scenario, ...]


def drop_state(toy: Toy) -> None:
    toy.edit(parallelism=DROPS)
    toy.settle()


def break_program(toy: Toy) -> None:
    toy.edit(parallelism=NO_GRAPH)
    toy.settle()


def upgrade_untried(toy: Toy) -> None:
    toy.edit(parallelism=SILENT)
    toy.settle()
    toy.tick(300)
    toy.settle()


def change_meanwhile(toy: Toy) -> None:
    toy.edit(parallelism=SILENT)
    for _ in range(4):
        toy.reconcile()
        toy.tick(1)
    toy.edit(parallelism=4)
    toy.settle()


def give_up_meanwhile(toy: Toy) -> None:
    width = toy.job.spec.parallelism
    toy.edit(parallelism=SILENT)
    for _ in range(4):
        toy.reconcile()
        toy.tick(1)
    toy.edit(parallelism=width)
    toy.settle()


def mend(toy: Toy) -> None:
    toy.edit(parallelism=4)
    toy.settle()


def ask(toy: Toy) -> None:
    stored = toy.objects[""]
    toy._put("", stored | {"metadata": stored["metadata"] | {"annotations": {constants.PREFLIGHT: "before 1"}}})
    toy.settle()


C = StartKind.CHECKPOINT
REFUSED = RUNNING | {"ready": "False", "version": 1, "checkpoints": [], "starts": 1, "programs": 0}
UPGRADED = RUNNING | {"version": 2, "checkpoints": [UPGRADE], "from": C, "starts": 2, "programs": 0}
STORIES: list[tuple[Story, dict[str, Any]]] = [
    ((create, drop_state), REFUSED),
    ((create, break_program), REFUSED),
    ((create, drop_state, mend), UPGRADED),
    ((create, upgrade_untried), UPGRADED),
    ((create, change_meanwhile), UPGRADED),
    ((create, give_up_meanwhile), RUNNING | {"version": 1, "starts": 1, "programs": 0}),
    ((create, take, ask), RUNNING | {"version": 1, "starts": 1, "programs": 0}),
    ((create, take, drop_state, ask), REFUSED | {"checkpoints": [("Manual", "Present")]}),
    ((create, take, restore_older), RUNNING | {"from": C, "starts": 2, "programs": 0}),
]


def _name(value: object) -> str:
    return "-".join(each.__name__ for each in value) if isinstance(value, tuple) else ""


@pytest.mark.parametrize(("story", "expected"), STORIES, ids=_name)
def test_a_story_ends_well(story: Story, expected: dict[str, Any]) -> None:
    toy = after(*story)
    assert toy.violations == []
    assert {key: value for key, value in toy.summary().items() if key in expected} == expected


SHORT, LONG = 1, 400
DEATHS = [(story, outage) for story, _ in STORIES for outage in (SHORT, LONG)]
DEATHS.remove(((create, give_up_meanwhile), LONG))
"""Without the one in which the pod is overdue when the operator is back: it stops the job before its user gives up."""


@pytest.mark.parametrize(("story", "outage"), DEATHS, ids=_name)
def test_the_same_end_when_the_operator_dies_after_any_operation(story: Story, outage: int) -> None:
    whole = after(*story).summary()
    for toy, where in disturbed(story, lambda toy: toy.tick(outage)):
        assert toy.violations == [], where
        assert toy.summary() == whole, where


@pytest.mark.parametrize("story", [story for story, _ in STORIES], ids=_name)
def test_the_status_of_the_job_is_lost_after_any_operation(story: Story) -> None:
    for toy, where in disturbed(story, Toy.lose_status):
        toy.tick(300)
        toy.settle()
        assert toy.violations == [], where
        assert toy.summary()["live"] == 1, where
        assert toy.summary()["programs"] == 0, where


def test_a_dry_run_is_answered() -> None:
    dry = after(create, take, ask).status.restore.dry_run
    assert dry.request == "before 1"
    assert [each.result for each in dry.checks if each.name in ("Program", "Operators")] == ["Passed", "Passed"]
