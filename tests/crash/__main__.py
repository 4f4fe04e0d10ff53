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
from tests.crash.scenarios import SCENARIOS

STEPS = 10_000


async def crash(options: argparse.Namespace, folder: Path) -> int:
    """Learn, play, tell."""
    began = time.monotonic()
    chosen = [each for each in SCENARIOS if not options.scenario or each.name in options.scenario]
    lab = await Lab.open(folder)
    try:
        print(f"servers are up after {time.monotonic() - began:.1f} s, logs in {folder}", flush=True)
        learned = await asyncio.gather(*(runner.learn(lab, each, options.quiet, options.broken) for each in chosen))
        for each in learned:
            print(f"{each.scenario.name}: {len(each.effects)} effects", *each.problems, sep="\n", flush=True)
            for effect in each.effects if options.verbose else ():
                print(f"  {effect}")
        print(f"learned after {time.monotonic() - began:.0f} s; error injections drawn with seed {options.seed}")
        work = [(each, fault) for each in learned for fault in runner.points(each, options.errors, options.seed)]
        work.sort(key=lambda item: not item[1].way.kills)  # what may not be sampled first
        work = [item for item in work if options.only in f"{item[0].scenario.name}: {item[1]}"]
        outcomes = await runner.play_all(lab, work, options.jobs, report.Teller(len(work)))
    finally:
        await lab.close()
    print(report.table(learned, outcomes))
    print(f"{time.monotonic() - began:.0f} s, {options.jobs} side by side, seed {options.seed}")
    # Of some scenarios alone it says nothing.
    missing = report.unreached(learned) if len(chosen) == len(SCENARIOS) else []
    if len(chosen) == len(SCENARIOS):
        print(f"effects without a point: {', '.join(missing) or 'none'}")
    print(report.last_line(learned, outcomes))
    return 1 if missing or report.divergences(learned, outcomes) else 0


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
    parser.add_argument("--verbose", action="store_true", help="list the effects")
    parser.add_argument("--keep", type=Path, help="folder for logs and data, kept; default: a temporary one")
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
