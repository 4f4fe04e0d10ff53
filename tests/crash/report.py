"""What the harness prints."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import get_args

from penstock.model import Effect
from tests.crash.folding import Folded
from tests.crash.runner import Learned, Outcome

Folds = Sequence[tuple[Learned, Folded]]


def table(learned: Sequence[Learned], outcomes: Sequence[Outcome], folded: Folds = ()) -> str:
    """Scenarios with their effects, points, points that are folded into those, and divergences."""
    lines = [f"{'scenario':<12}{'effects':>8}{'points':>8}{'folded':>8}{'divergences':>13}{'seconds a point':>17}"]
    for each in learned:
        own = [outcome for outcome in outcomes if outcome.scenario == each.scenario.name]
        wrong = sum(bool(outcome.problem) for outcome in own) + len(each.problems)
        same = sum(one is each for one, _ in folded)
        mean = sum(outcome.seconds for outcome in own) / len(own) if own else 0.0
        lines.append(f"{each.scenario.name:<12}{len(each.effects):>8}{len(own):>8}{same:>8}{wrong:>13}{mean:>17.1f}")
    return "\n".join(lines)


def unreached(learned: Sequence[Learned]) -> list[str]:
    """Effects of the operator, by the names of their classes, that no scenario has: they have no point."""
    return sorted({each.__name__ for each in get_args(Effect)}.difference(*(each.kinds for each in learned)))


def not_played(folded: Folds) -> str:
    """Which points were not played, and why."""
    return "\n".join(f"folded {learned.scenario.name}: {each}" for learned, each in folded)


def last_line(learned: Sequence[Learned], outcomes: Sequence[Outcome], folded: int = 0) -> str:
    """The line that `make crash` ends with."""
    same = f" ({folded} folded into them)" if folded else ""
    return f"crash points {len(outcomes)}{same}, divergences {divergences(learned, outcomes)}"


def divergences(learned: Sequence[Learned], outcomes: Sequence[Outcome]) -> int:
    """How much went wrong, scenarios that could not be learned included."""
    return sum(bool(outcome.problem) for outcome in outcomes) + sum(len(each.problems) for each in learned)


class Teller:
    """Prints points as they come."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._began = total, 0, time.monotonic()

    def __call__(self, outcome: Outcome) -> None:
        """One point is done."""
        self._done += 1
        if outcome.problem:
            print(f"DIVERGENCE {outcome.scenario}: {outcome.point} (log {outcome.log})\n{outcome.problem}", flush=True)
        elif self._done % 20 == 0:
            rate = (time.monotonic() - self._began) / self._done
            print(f"{self._done} of {self._total} points, {rate:.2f} s each", flush=True)
