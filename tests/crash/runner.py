"""Playing scenarios: learning one without faults, then once for every effect in every way."""

from __future__ import annotations

import asyncio
import difflib
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.crash.effects import Effect
from tests.crash.faults import ERRORS, KILLS, Fault
from tests.crash.run import Lab, Run
from tests.crash.scenarios import Scenario

_PATIENCE_SECONDS = 60.0
"""How long an end state may differ before it is a divergence: as long as pauses after failures last."""
QUIET_SECONDS = 30.0
"""Once a scenario no write may follow for so long."""
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


async def learn(lab: Lab, scenario: Scenario, quiet_seconds: float = QUIET_SECONDS, broken: str = "") -> Learned:
    """Play a scenario twice, once by `python3 -m penstock` itself; whatever differs is a problem."""
    first, second = await asyncio.gather(
        _without_faults(Run(lab, broken), scenario, quiet_seconds, whole=False),
        _without_faults(Run(lab, broken), scenario, 3.0, whole=not broken),
    )
    first.broken = broken
    if first.effects and Counter(first.effects) != Counter(second.effects):
        told = _difference("\n".join(map(str, first.effects)), "\n".join(map(str, second.effects)))
        first.problems.append(f"two runs without faults had other effects:\n{told}")
    if first.text != second.text:
        first.problems.append(f"two runs without faults ended otherwise:\n{_difference(first.text, second.text)}")
    first.problems += second.problems
    return first


async def _without_faults(run: Run, scenario: Scenario, quiet_seconds: float, *, whole: bool) -> Learned:
    problems: list[str] = []
    try:
        await run.open(whole=whole)
        await scenario.prepare(run)
        await run.settle()
        run.choke.arm(None)
        before = run.log.stat().st_size if run.log.exists() else 0  # not yet, when nothing was prepared
        await scenario.act(run)
        await run.settle()
        effects = tuple(run.choke.effects)
        kinds = frozenset(_CARRIED_OUT.findall(run.log.read_bytes()[before:].decode()))
        text, error_text = await run.look(), await run.look(errors=True)
        await asyncio.sleep(max(0.0, quiet_seconds - run.quiet_seconds))
        late = run.choke.effects[len(effects) :]
        if late:
            problems.append(f"written within {quiet_seconds:.0f} s after the end: {', '.join(map(str, late))}")
        problems += _complaints(run)
        return Learned(scenario, text, error_text, effects, problems, kinds)
    except (TimeoutError, RuntimeError) as error:
        return Learned(scenario, "", "", (), [f"without faults: {error}; the operator's log is {run.log}"])
    finally:
        await run.close()


async def play(lab: Lab, learned: Learned, fault: Fault) -> Outcome:
    """Play one point."""
    began, scenario = time.monotonic(), learned.scenario
    run = Run(lab, learned.broken)
    outcome = Outcome(scenario.name, str(fault), log=str(run.log))
    expected = learned.text if fault.way.kills else learned.error_text
    try:
        await run.open()
        await scenario.prepare(run)
        await run.settle()
        run.choke.arm(fault)
        await scenario.act(run)
        outcome.problem = await _compare(run, expected, errors=not fault.way.kills)
        if not run.choke.hit:
            outcome.problem = f"the effect did not come; {outcome.problem or 'the end state is the same'}"
    except (TimeoutError, RuntimeError) as error:
        seen = _difference(expected, await run.look(errors=not fault.way.kills))
        outcome.problem = f"{error}\n{seen}"
    finally:
        complaints = _complaints(run)
        await run.close()
    outcome.problem = "\n".join([*complaints, *([outcome.problem] if outcome.problem else [])])
    outcome.seconds = time.monotonic() - began
    if not outcome.problem:
        run.log.unlink(missing_ok=True)
    return outcome


def _complaints(run: Run) -> list[str]:
    ended = [f"the operator ended by itself {run.ended_by_itself} times"] if run.ended_by_itself else []
    return [*run.world.violations, *run.choke.problems, *ended]


async def _compare(run: Run, expected: str, *, errors: bool) -> str:
    """Wait for the expected end state; what differs when it does not come."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
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


async def play_all(
    lab: Lab,
    work: Iterable[tuple[Learned, Fault]],
    side_by_side: int,
    tell: Callable[[Outcome], None],
) -> list[Outcome]:
    """Play points, so many side by side, and as many that wait for the clock: those cost next to nothing."""
    points = list(work)
    outcomes: list[Outcome] = []

    async def one_after_the_other(left: Iterator[tuple[Learned, Fault]]) -> None:
        for learned, fault in left:
            outcome = await play(lab, learned, fault)
            outcomes.append(outcome)
            tell(outcome)

    waiting = iter([each for each in points if each[0].scenario.waits])
    busy = iter([each for each in points if not each[0].scenario.waits])
    await asyncio.gather(*(one_after_the_other(left) for left in (busy, waiting) for _ in range(side_by_side)))
    return outcomes
