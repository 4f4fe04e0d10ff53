"""Playing scenarios: learning one without faults, then once for every effect in every way."""

from __future__ import annotations

import asyncio
import difflib
import random
import re
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tests.crash.effects import Effect
from tests.crash.faults import ERRORS, KILLS, Fault
from tests.crash.folding import Folded, fold
from tests.crash.moments import Moment
from tests.crash.run import Lab, Run
from tests.crash.scenarios import Scenario

PATIENCE_SECONDS = 60.0
"""How long an end state may differ before it is a divergence: as long as pauses after failures last."""
_END_SECONDS = 4.0
"""How long nothing may be written before the end of a run that is learned from: what came later would have no point."""
QUIET_SECONDS = 30.0
"""Once a scenario no write may follow for so long."""
_RETAINED_MADE = re.compile(r"POST (checkpoints/\S+-chk-\S+-\d+)")
_CARRIED_OUT = re.compile(r" penstock\.reconcile \S+: (\w+)$", re.MULTILINE)
"""What the loop logs of each effect before it is carried out: from a request's name alone nobody knows which it is."""


@dataclass
class Outcome:
    """What came of one point."""

    scenario: str
    point: str
    problem: str = ""
    """Empty: the end state was that of the run without faults."""
    seconds: float = 0.0
    log: str = ""
    as_learned: bool = True
    """Whether the effects before a kill were those of the run without faults in their order, and none was under way."""


@dataclass
class Learned:
    """A scenario without faults."""

    scenario: Scenario
    text: str
    """The end state."""
    error_text: str
    """The same, without what may rightly tell of an injected error."""
    effects: tuple[Effect, ...]
    problems: list[str] = field(default_factory=list)
    kinds: frozenset[str] = frozenset()
    """Names of the `model.Effect`s that were carried out."""
    broken: str = ""
    """How the operator was broken on purpose; empty: not at all."""
    moments: tuple[Moment, ...] = ()
    """What the world was at each effect."""
    twins: tuple[Moment, ...] = ()
    """The same of the second run."""


Room = asyncio.Semaphore
"""How many runs may do something at once."""


async def learn(
    lab: Lab,
    scenario: Scenario,
    room: Room,
    quiet_seconds: float = QUIET_SECONDS,
    broken: str = "",
    *,
    whole: bool = False,
) -> tuple[Learned, asyncio.Task[None]]:
    """Play a scenario twice, some of them once by `python3 -m penstock` itself (`whole`: whichever it is).

    Whatever differs is a problem. Its points can be played at once. The task waits for what may follow, and adds what
    came to the problems.
    """
    one, two = Run(lab, broken), Run(lab, broken)
    first, second = await asyncio.gather(
        _without_faults(one, scenario, room, whole=False),
        _without_faults(two, scenario, room, whole=(whole or scenario.whole) and not broken),
    )
    first.broken, first.twins = broken, second.moments
    first.problems += second.problems
    if not first.problems and Counter(first.effects) != Counter(second.effects):
        told = _difference("\n".join(map(str, first.effects)), "\n".join(map(str, second.effects)))
        first.problems.append(f"two runs without faults had other effects:\n{told}")
    if not first.problems and first.text != second.text:
        first.problems.append(f"two runs without faults ended otherwise:\n{_difference(first.text, second.text)}")

    async def rest() -> None:
        late = await asyncio.gather(_stays_quiet(one, first, quiet_seconds), _stays_quiet(two, second, 3.0))
        first.problems += [*late[0], *late[1]]

    return first, asyncio.create_task(rest())


async def _without_faults(run: Run, scenario: Scenario, room: Room, *, whole: bool) -> Learned:
    """Play it; the operator goes on."""
    async with room:
        try:
            await run.open(whole=whole)
            await scenario.prepare(run)
            await run.settle()
            moments = run.keep_moments()
            run.choke.arm(None)
            before = run.log.stat().st_size if run.log.exists() else 0  # not yet, when nothing was prepared
            await scenario.act(run)
            await run.settle(_END_SECONDS)
            effects = tuple(run.choke.effects)
            kinds = frozenset(_CARRIED_OUT.findall(run.log.read_bytes()[before:].decode()))
            text, error_text = await run.look(), await run.look(errors=True)
        except (TimeoutError, RuntimeError) as error:
            return Learned(scenario, "", "", (), [f"without faults: {error}; the operator's log is {run.log}"])
        return Learned(scenario, text, error_text, effects, kinds=kinds, moments=tuple(moments.all[: len(effects)]))


async def _stays_quiet(run: Run, learned: Learned, seconds: float) -> list[str]:
    """What was wrong until the end of a run without faults; an operator at rest writes nothing."""
    late: list[Effect] = []
    if not learned.problems:
        await asyncio.sleep(max(0.0, seconds - run.quiet_seconds))
        late = without_what_the_clock_makes(run.choke.effects[len(learned.effects) :])
    told = [f"written within {seconds:.0f} s after the end: {', '.join(map(str, late))}"] if late else []
    told += _complaints(run)
    await run.close()
    return told


def without_what_the_clock_makes(late: list[Effect]) -> list[Effect]:
    """Without the writes of one more object of Flink's own checkpoints of a run that lives.

    One is made at most once a minute and job: whether it comes within these seconds depends on how long the run has
    lasted, as for the snapshot (`snapshot.without_what_the_clock_makes`).
    """
    made = next((found[1] for each in late if (found := _RETAINED_MADE.fullmatch(each.name))), None)
    return [each for each in late if made is None or each.name.partition(" ")[2] not in (made, f"{made}/status")]


Expected = Learned | asyncio.Task[Learned]
"""What a point is to end like; it need not be known when it begins."""


async def play(
    lab: Lab,
    scenario: Scenario,
    fault: Fault,
    expected: Expected,
    *,
    broken: str = "",
    patience_seconds: float = PATIENCE_SECONDS,
) -> Outcome:
    """Play one point."""
    began = time.monotonic()
    run = Run(lab, broken)
    outcome = Outcome(scenario.name, str(fault), log=str(run.log))
    errors = not fault.way.kills
    try:
        await run.open()
        await scenario.prepare(run)
        await run.settle()
        run.choke.arm(fault)
        await scenario.act(run)
        learned = expected if isinstance(expected, Learned) else await expected
        text = learned.error_text if errors else learned.text
        outcome.problem = await _compare(run, text, patience_seconds, errors=errors)
        if not run.choke.hit:
            outcome.problem = f"the effect did not come; {outcome.problem or 'the end state is the same'}"
        elif fault.way.kills:
            at = len(run.choke.hit_after or ())
            outcome.as_learned = run.choke.hit_after == learned.effects[:at]
            outcome.as_learned &= learned.effects[at : at + 1] == (fault.effect,)
    except (TimeoutError, RuntimeError) as error:
        learned = expected if isinstance(expected, Learned) else await expected
        seen = _difference(learned.error_text if errors else learned.text, await run.look(errors=errors))
        outcome.problem = f"{error}\n{seen}"
    finally:
        outcome.problem = "\n".join([*_complaints(run), *([outcome.problem] if outcome.problem else [])])
        await run.close(clear=not outcome.problem)
    outcome.seconds = time.monotonic() - began
    if not outcome.problem:
        run.log.unlink(missing_ok=True)
    return outcome


def _complaints(run: Run) -> list[str]:
    ended = [f"the operator ended by itself {run.ended_by_itself} times"] if run.ended_by_itself else []
    return [*run.world.violations, *run.choke.problems, *ended]


async def _compare(run: Run, expected: str, patience_seconds: float, *, errors: bool) -> str:
    """Wait for the expected end state; what differs when it does not come."""
    deadline = time.monotonic() + patience_seconds
    while True:
        await run.settle()
        text = await run.look(errors=errors)
        if text == expected:
            return ""
        if time.monotonic() > deadline:
            return _difference(expected, text)
        await asyncio.sleep(1)


def _difference(expected: str, seen: str) -> str:
    lines = difflib.unified_diff(expected.splitlines(), seen.splitlines(), "without faults", "here", lineterm="", n=2)
    return "\n".join(lines)


# ------------------------------------------------------------ which points


def points(learned: Learned, errors: float, seed: int) -> list[Fault]:
    """Every effect with every kill, and this part (0 to 1) of all injected errors, drawn with the seed."""
    killed = [Fault(effect, way) for effect in learned.effects for way in KILLS]
    injected = [Fault(effect, way) for effect in learned.effects for way in ERRORS]
    drawn = random.Random(f"{seed}/{learned.scenario.name}")  # noqa: S311 - a sample, not a secret
    return killed + sorted(drawn.sample(injected, round(len(injected) * errors)), key=injected.index)


def every(faults: Sequence[Fault], step: int) -> list[Fault]:
    """Every so many-th of them, always the same; a step that is no multiple of the ways goes through them all."""
    return list(faults[step // 2 :: step])


@dataclass
class Work:
    """The points to be played, and which are the same as one of them."""

    points: list[tuple[Learned, Fault]]
    folded: list[tuple[Learned, Folded]] = field(default_factory=list)


def folded(points: Iterable[tuple[Learned, Fault]]) -> Work:
    """Leave out what is the same as another of these points."""
    of_scenario: dict[str, list[tuple[Learned, Fault]]] = defaultdict(list)
    for each in points:
        of_scenario[each[0].scenario.name].append(each)
    work = Work([])
    for several in of_scenario.values():
        learned = several[0][0]
        left_out = fold([fault for _, fault in several], learned.moments, learned.twins)
        work.folded += [(learned, each) for each in left_out]
        gone = {each.point for each in left_out}
        work.points += [each for each in several if each[1] not in gone]
    return work


async def play_all(lab: Lab, work: Work, side_by_side: int, tell: Callable[[Outcome], None]) -> list[Outcome]:
    """Play points, so many side by side, and as many that wait for the clock: those cost next to nothing.

    A kill that came after other effects than in the run without faults stands for itself only: what was folded into it
    is played, too, and is folded no more.
    """
    outcomes: list[Outcome] = []
    waiting = deque(each for each in work.points if each[0].scenario.waits)
    busy = deque(each for each in work.points if not each[0].scenario.waits)

    async def one_after_the_other(left: deque[tuple[Learned, Fault]]) -> None:
        while left:
            learned, fault = left.popleft()
            outcome = await play(lab, learned.scenario, fault, learned, broken=learned.broken)
            outcomes.append(outcome)
            if not outcome.as_learned:
                own = [each for each in work.folded if each[0] is learned and each[1].into == fault]
                work.folded = [each for each in work.folded if each not in own]
                left.extendleft((learned, each.point) for _, each in own)
            tell(outcome)

    await asyncio.gather(*(one_after_the_other(left) for left in (busy, waiting) for _ in range(side_by_side)))
    return outcomes
