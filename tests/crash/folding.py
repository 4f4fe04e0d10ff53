"""Which points are the same point, so that one of them is enough.

A kill takes the operator's memory: all that the next one starts from is the world (API server, bucket, Flink, pods).
Two kills that leave the very same world are one. What the world was at each effect is not assumed but kept while a
scenario is learned (`moments.py`), twice; where the two runs do not both show it, where writes overlap, or where time
has passed that a clock could tell, both points are played.

An injected error is folded only where the operator's own client makes the very same error of two answers
(`test_folding.py` holds that).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.crash.effects import Effect
from tests.crash.faults import ERRORS, KILLS, Fault, Way
from tests.crash.moments import Moment

LIMIT_SECONDS = 3.0
"""Not much longer than an operator needs to start again. A schedule or a deadline is further away."""
_UNSEEN = "it changed nothing that an operator can see"
_STANDS = "nothing had changed since"
_AT_REST = "Flink had nothing to move on"
_ALIKE = "the operator's client makes the same error of both"
_LIKE = {
    # 429 and 500 are both "try again later"; of an Event's refusal nothing is made but a line in the log.
    "kubernetes": {Way.INTERNAL: Way.TOO_MANY},
    "event": {Way.TOO_MANY: Way.CONFLICT, Way.INTERNAL: Way.CONFLICT},
    # Flink's own 4xx are all a refusal.
    "flink": {Way.TOO_MANY: Way.CONFLICT},
    # Of S3 boto's own retries tell them all apart.
    "s3": {},
}


@dataclass(frozen=True)
class Folded:
    """A point that is not played, because another one is the same."""

    point: Fault
    into: Fault
    why: str

    def __str__(self) -> str:
        return f"{self.point}, like {self.into}: {self.why}"


def fold(points: Sequence[Fault], first: Sequence[Moment], second: Sequence[Moment]) -> list[Folded]:
    """Those of the points that are the same as an earlier one of them; the moments are those of two runs."""
    worlds = _worlds(first, second)
    played: dict[object, Fault] = {}
    found = []
    for point in points:
        key, why = _same_kill(point, worlds) if point.way in KILLS else _same_error(point)
        into = played.setdefault(key, point)
        if into is not point:
            found.append(Folded(point, into, why))
    return found


def _same_error(point: Fault) -> tuple[object, str]:
    like = _LIKE[side(point.effect)].get(point.way, point.way)
    assert like in ERRORS
    return (point.effect, like), _ALIKE


def side(effect: Effect) -> str:
    """Whom an effect goes to: kubernetes (of its Events: event), flink or s3."""
    verb, _, rest = effect.name.partition(" ")
    if rest.startswith(("flink ", "s3 ")):
        return rest.partition(" ")[0]
    return "event" if verb == "POST" and rest.startswith("events/") else "kubernetes"


# ------------------------------------------------------------ kills


@dataclass(frozen=True)
class _World:
    """What a kill at an effect leaves: worlds of the same number are the same."""

    before: int
    after: int
    moves: bool
    """Whether a dead operator's time changes what is after it; True, too, when nobody can say."""


def _same_kill(point: Fault, worlds: dict[Effect, _World]) -> tuple[object, str]:
    world = worlds.get(point.effect)
    if world is None:
        return point, ""
    if point.way is Way.BEFORE:
        return (world.before, False), _STANDS
    moved = point.way is Way.LOST and world.moves
    if world.before == world.after:
        return (world.after, moved), _UNSEEN
    return (world.after, moved), _AT_REST


def _worlds(first: Sequence[Moment], second: Sequence[Moment]) -> dict[Effect, _World]:
    """The worlds of the first run, numbered in their order; equal neighbours have the same number."""
    twins = {each.effect: number for number, each in enumerate(second)}
    found: dict[Effect, _World] = {}
    number = 0
    since = (0.0, 0.0)  # when the world of this number began in both runs
    last: tuple[Moment, Moment, int] | None = None
    for moment in first:
        place = twins.get(moment.effect)
        if moment.effect is None or place is None:
            last = None
            continue
        twin = second[place]
        follows = last is not None and place == last[2] + 1
        if not (follows and last and _stood(last[0], moment, since[0]) and _stood(last[1], twin, since[1])):
            number, since = number + 1, (moment.arrived, twin.arrived)
        before = number
        if not (_unseen(moment, since[0]) and _unseen(twin, since[1])):
            number, since = number + 1, (moment.ended, twin.ended)
        sure = moment.alone and twin.alone and None not in (moment.after, twin.after)
        found[moment.effect] = _World(before, number, moment.moves or twin.moves or not sure)
        last = moment, twin, place
    return found


def _stood(earlier: Moment, later: Moment, since: float) -> bool:
    """Whether the world stood still between two effects."""
    same = earlier.after is not None and earlier.after == later.before
    return earlier.alone and later.alone and same and later.arrived - since < LIMIT_SECONDS


def _unseen(moment: Moment, since: float) -> bool:
    """Whether an effect changed nothing that is seen."""
    same = moment.before is not None and moment.before == moment.after
    return moment.alone and same and moment.ended - since < LIMIT_SECONDS
