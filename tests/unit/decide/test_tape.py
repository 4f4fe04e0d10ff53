"""A story of which only the part after the death is played has the same course as one that is played whole."""

from __future__ import annotations

import pytest

from tests.unit.decide.test_scenarios import create, keep_one, restore_older, stop, take, take_another
from tests.unit.decide.toy import Scenario, Toy, after, disturbed


def start_twice(toy: Toy) -> None:
    """Passes that are not within `settle`, and two of those that are."""
    toy.edit(state="Running")
    toy.reconcile()
    toy.settle()
    toy.edit(restartToken="again")
    toy.reconcile()
    toy.tick(1)
    toy.reconcile()
    toy.settle()


@pytest.mark.parametrize(
    "story",
    [(create, take, take_another, restore_older), (create, take, take_another, keep_one), (create, stop, start_twice)],
    ids=lambda story: story[-1].__name__,
)
def test_what_was_played_before_need_not_be_played_again(story: tuple[Scenario, ...]) -> None:
    played = [toy for toy, _ in disturbed(story, lambda toy: toy.tick(1))]
    first = after(*story[:-1]).operations + 1
    assert len(played) > 5
    for position, toy in enumerate(played, first):
        whole = after(*story[:-1])
        whole.crash_after, whole.on_crash = position, lambda each: each.tick(1)
        story[-1](whole)
        assert "   CRASH" in whole.trace
        assert toy.trace == whole.trace
        assert (toy.now, toy.objects, toy.store, toy.summary()) == (
            whole.now,
            whole.objects,
            whole.store,
            whole.summary(),
        )
