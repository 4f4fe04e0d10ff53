"""`python3 -m tests.crash`: kill the operator at every effect, and see that it makes no difference."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from pathlib import Path

from tests.crash import broken, machine, report, runner
from tests.crash.run import Lab
from tests.crash.scenarios import SCENARIOS, Scenario

STEPS = 10_000


async def crash(options: argparse.Namespace, folder: Path) -> int:
    """Learn, play, tell."""
    began = time.monotonic()
    chosen = [each for each in SCENARIOS if not options.scenario or each.name in options.scenario]
    lab = await Lab.open(folder)
    try:
        print(f"servers are up after {time.monotonic() - began:.1f} s, logs in {folder}", flush=True)
        room = asyncio.Semaphore(options.jobs + sum(2 * each.waits for each in chosen))
        both = [
            runner.learn(lab, each, room, options.quiet, options.broken, whole=True) for each in _longest_first(chosen)
        ]
        found = await asyncio.gather(*both)
        await asyncio.gather(*(rest for _, rest in found))
        learned = sorted((each for each, _ in found), key=lambda each: chosen.index(each.scenario))
        for each in learned:
            print(f"{each.scenario.name}: {len(each.effects)} effects", *each.problems, sep="\n", flush=True)
            for effect in each.effects if options.verbose else ():
                print(f"  {effect}")
        print(f"learned after {time.monotonic() - began:.0f} s; error injections drawn with seed {options.seed}")
        points = [(each, fault) for each in learned for fault in runner.points(each, options.errors, options.seed)]
        points = [each for each in points if options.only in f"{each[0].scenario.name}: {each[1]}"]
        work = runner.Work(points) if options.unfolded else runner.folded(points)
        work.points.sort(key=lambda each: not each[1].way.kills)  # what may not be sampled first
        print(f"{len(work.points)} points, {len(work.folded)} more are the same as one of them", flush=True)
        if options.verbose and work.folded:
            print(report.not_played(work.folded), flush=True)
        outcomes = await runner.play_all(lab, work, options.jobs, report.Teller(len(work.points)))
    finally:
        await lab.close()
    print(report.table(learned, outcomes, work.folded))
    print(f"{time.monotonic() - began:.0f} s, {options.jobs} side by side, seed {options.seed}")
    # Of some scenarios alone it says nothing.
    missing = report.unreached(learned) if len(chosen) == len(SCENARIOS) else []
    if len(chosen) == len(SCENARIOS):
        print(f"effects without a point: {', '.join(missing) or 'none'}")
    print(report.last_line(learned, outcomes, len(work.folded)))
    return 1 if missing or report.divergences(learned, outcomes) else 0


def _longest_first(scenarios: list[Scenario]) -> list[Scenario]:
    """Those that wait for the clock begin to wait first."""
    return sorted(scenarios, key=lambda each: not each.waits)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.crash", description=__doc__)
    parser.add_argument("--scenario", action="append", choices=[each.name for each in SCENARIOS], help="default: all")
    parser.add_argument("--jobs", type=int, default=10, help="how many runs side by side")
    parser.add_argument("--errors", type=float, default=1.0, help="part of all error injections that is played, 0 to 1")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="draws that part")
    parser.add_argument("--only", default="", help="play points whose text has this in it, such as 'PUT streamjobs'")
    parser.add_argument("--quiet", type=float, default=runner.QUIET_SECONDS, help="seconds in which nothing may follow")
    parser.add_argument("--broken", default="", choices=["", *broken.WAYS], help="break the operator on purpose")
    parser.add_argument("--unfolded", action="store_true", help="play points that are the same as another one, too")
    parser.add_argument("--verbose", action="store_true", help="list the effects, and the points that are not played")
    parser.add_argument("--keep", type=Path, help="folder for logs and diverged data, kept; default: a temporary one")
    parser.add_argument("--steps", type=int, help=f"of the references machine; default: {STEPS:,} when all is played")
    options = parser.parse_args()
    whole = not (options.scenario or options.only or options.broken)
    steps = options.steps if options.steps is not None else STEPS * whole
    sound = machine.walk(steps) if steps else True
    if options.keep:
        wrong = asyncio.run(crash(options, options.keep))
    else:
        with tempfile.TemporaryDirectory(prefix="penstock-crash-") as folder:
            wrong = asyncio.run(crash(options, Path(folder)))
    return wrong if sound else 1


if __name__ == "__main__":
    sys.exit(main())
