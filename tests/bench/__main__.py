"""`python3 -m tests.bench`: what the operator costs and how quick it is, each figure a line of JSON.

A real API server, a real S3 server, the operator as a process of its own; Flink and the kubelet are those of
`tests/crash`. Figures go to stdout; how they came about, and how busy the machine was, to stderr.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from penstock.kube import resources
from tests.bench.subject import BenchRun, Watch, has_checkpoint, is_present, runs, tally
from tests.crash.run import Lab

QUIET_SECONDS = 5.0
IDLE_SECONDS = 60
LASTS = (1.0, 3.0, 20.0)
"""How many seconds the savepoints take, in turn."""
APART_SECONDS = 1.37
"""Between two savepoints, so that each is taken beside jobs at rest and not beside twenty others that begin."""


def tell(text: str) -> None:
    """Say how a figure came about."""
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{time.strftime('%H:%M:%S')} load {load}: {text}", file=sys.stderr, flush=True)


def figure(name: str, value: float, unit: str) -> None:
    """Print a figure."""
    print(json.dumps({"figure": name, "value": round(value, 2), "unit": unit}), flush=True)


class Bench:
    """The measurements, in the order in which they are made."""

    def __init__(self, run: BenchRun, jobs: int, each: int) -> None:
        self.run, self.jobs, self.each = run, jobs, each
        self.names = [f"flow-{number:03}" for number in range(1, jobs + 1)]

    async def at_rest(self) -> None:
        """The operator with a store and no job."""
        await self.run.make_store()
        await self.run.until_quiet(QUIET_SECONDS)
        figure("rss_mb_0_jobs", self.run.rss_mb(), "MB")

    async def created(self) -> None:
        """All jobs at once, until the last of them runs and nothing more is written."""
        before, began = len(self.run.choke.effects), time.monotonic()
        watch = Watch(self.run.lab.plane, resources.STREAM_JOBS, self.run.namespace, runs)
        try:
            await asyncio.gather(*(self.run.job(name) for name in self.names))
            await watch.until(lambda: len(watch.since) == self.jobs, 600)
        finally:
            await watch.close()
        tell(f"{self.jobs} jobs run {time.monotonic() - began:.0f} s after they were all created")
        await self.run.until_quiet(QUIET_SECONDS)
        writes = self.run.counts.writes(before)
        figure("api_writes_per_created_job", len(writes) / self.jobs, "writes")
        tell_writes(tally(writes), self.jobs)

    async def a_checkpoint_each(self) -> None:
        """Every job completes its first checkpoint; what that costs is told, because idle jobs complete none."""
        before, space, plane = len(self.run.choke.effects), self.run.namespace, self.run.lab.plane
        jobs = Watch(plane, resources.STREAM_JOBS, space, has_checkpoint)
        objects = Watch(plane, resources.CHECKPOINTS, space, is_present)
        try:
            for job in list(self.run.flink.jobs.values()):
                await self.run.flink.checkpoint(job)
            await jobs.until(lambda: len(jobs.since) == self.jobs, 120)
            await objects.until(lambda: len(objects.since) == self.jobs, 120)
        finally:
            await jobs.close()
            await objects.close()
        await self.run.until_quiet(QUIET_SECONDS)
        writes = self.run.counts.writes(before)
        tell(
            f"a checkpoint that Flink takes by itself costs {len(writes) / self.jobs:.2f} writes (idle jobs take none)"
        )
        tell_writes(tally(writes), self.jobs)

    async def idle(self) -> None:
        """A minute in which nobody does anything; memory meanwhile."""
        before, renewed, began = len(self.run.choke.effects), self.run.counts.renewals, self.run.choke.requests
        memory, worked = [], self.run.cpu_seconds()
        for _ in range(IDLE_SECONDS // 5):
            await asyncio.sleep(5)
            memory.append(self.run.rss_mb())
        writes = self.run.counts.writes(before)
        asked, worked = self.run.choke.requests - began, self.run.cpu_seconds() - worked
        figure("rss_mb_100_jobs", statistics.median(memory), "MB")
        figure("api_writes_idle_per_min", len(writes) * 60 / IDLE_SECONDS, "writes")
        tell(
            f"in {IDLE_SECONDS} idle s: {asked} requests of all kinds, {self.run.counts.renewals - renewed} writes of "
            f"the lease, which are not in the figure, {worked:.1f} s of CPU; memory from {min(memory):.1f} to "
            f"{max(memory):.1f} MB"
        )
        tell_writes(tally(writes), 1)

    async def savepoints(self) -> None:
        """So many savepoints of each length, of one job each, while all the others run."""
        watch = Watch(self.run.lab.plane, resources.CHECKPOINTS, self.run.namespace, is_present)
        by_name = {job.cluster.rpartition("-")[0]: job.run for job in self.run.flink.jobs.values()}
        created: dict[str, float] = {}
        try:
            for number in range(self.each * len(LASTS)):
                name = self.names[number % self.jobs]
                # Spread over a second: whole seconds would all meet the operator's poll at the same moment of it.
                spread = number // len(LASTS) / self.each
                self.run.flink.lasts[by_name[name]] = LASTS[number % len(LASTS)] + spread
                created[f"{name}-bench"] = time.monotonic()
                await self.run.checkpoint(f"{name}-bench", name)
                await asyncio.sleep(APART_SECONDS)
            await watch.until(lambda: created.keys() <= watch.since.keys(), 120)
        finally:
            await watch.close()
        asked = {name: self.run.flink.asked[by_name[name.removesuffix("-bench")]] - created[name] for name in created}
        seen = {name: watch.since[name] - self.run.flink.done[by_name[name.removesuffix("-bench")]] for name in created}
        for what, found in (("create_to_request_p50_s", asked), ("done_to_present_p50_s", seen)):
            values = list(found.values())
            figure(what, statistics.median(values), "s")
            for offset, lasts in enumerate(LASTS):
                own = values[offset :: len(LASTS)]
                tell(f"{what} of {lasts:.0f} to {lasts + 1:.0f} s: {', '.join(f'{each:.2f}' for each in own)}")


def tell_writes(counted: Counter[str], per: int) -> None:
    """The writes behind a figure."""
    for name, count in counted.most_common():
        print(f"    {count / per:6.2f}  {name}", file=sys.stderr)


async def bench(options: argparse.Namespace, folder: Path) -> int:
    """Measure."""
    lab = await Lab.open(folder)
    run = BenchRun(lab)
    try:
        await run.open(whole=True)
        run.choke.arm(None)
        tell(f"servers and operator are started, logs in {folder}")
        subject = Bench(run, options.jobs, options.each)
        await subject.at_rest()
        await subject.created()
        await subject.a_checkpoint_each()
        await subject.idle()
        await subject.savepoints()
        tell(f"done; the operator has {subject.run.rss_mb():.1f} MB now")
    finally:
        await run.close()
        await lab.close()
    for problem in run.choke.problems:
        print(problem, file=sys.stderr)
    if run.ended_by_itself:
        print(f"the operator ended by itself {run.ended_by_itself} times", file=sys.stderr)
    return 1 if run.choke.problems or run.ended_by_itself else 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench", description=__doc__)
    parser.add_argument("--jobs", type=int, default=100, help="how many StreamJobs run")
    parser.add_argument("--each", type=int, default=7, help="how many savepoints of each length")
    parser.add_argument("--keep", type=Path, help="folder for logs and data, kept; default: a temporary one")
    options = parser.parse_args()
    if options.keep:
        return asyncio.run(bench(options, options.keep))
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        return asyncio.run(bench(options, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
