"""One operator under measurement: its requests counted, its memory read, its objects watched."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import ssl
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from penstock.kube import resources
from penstock.kube.resources import Resource
from tests.bench.flink import TimedFlink
from tests.crash.choke import Choke
from tests.crash.effects import Effect, Request
from tests.crash.plane import ADMIN, OPERATOR, Plane, unverified
from tests.crash.run import Lab, Run

Manifest = dict[str, Any]
_NUMBERED = re.compile(r"(?<=flow-)\d{3}")


class CountingChoke(Choke):
    """The choke point with a second, encrypted door for Kubernetes: the operator's memory holds what TLS needs, too."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.renewals = 0
        """Writes of the lease."""
        self.kubernetes = ""

    async def open(self) -> None:
        """Listen at both doors."""
        await super().open()
        assert self._runner is not None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificates = self._plane.folder / "certificates"
        context.load_cert_chain(certificates / "apiserver.crt", certificates / "apiserver.key")
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        self.kubernetes = f"https://127.0.0.1:{self._runner.addresses[1][1]}"

    async def _pass_read(self, incoming: web.Request, request: Request) -> web.StreamResponse:
        self.renewals += request.is_lease and request.method != "GET"
        return await super()._pass_read(incoming, request)

    def writes(self, since: int = 0) -> list[Effect]:
        """What was asked of the API server to be changed, without the lease; refused ones count, too."""
        return [each for each in self.effects[since:] if each.name.split()[1] not in ("flink", "s3")]


class BenchRun(Run):
    """A namespace with an operator that is started as its image starts it, and watches all namespaces."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self.flink = TimedFlink(lab.bucket)
        self.world.flink = self.flink
        self.counts = CountingChoke(lab.plane, self.namespace, self.world, lab.raw)
        self.choke = self.counts
        self.choke.kill, self.choke.restart = self._kill, self._start
        self.lab = lab

    def environment(self) -> dict[str, str]:
        """As the harness's, but with the default lease and without a limit to one namespace."""
        config = self.lab.plane.kubeconfig(self.namespace, self.counts.kubernetes, OPERATOR)
        env = super().environment() | {"KUBECONFIG": str(config)}
        return {key: value for key, value in env.items() if key not in _OF_THE_CRASH_HARNESS}

    def rss_mb(self) -> float:
        """Resident memory of the operator's process, in MB of a million bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024 / 1e6

    def cpu_seconds(self) -> float:
        """CPU time that the operator's process has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def job(self, name: str) -> None:
        """Create a StreamJob."""
        checkpoints = {"store": self.namespace}
        spec = {"flink": {"version": "2.3"}, "job": {"sql": {"script": "SELECT 1;"}}, "checkpoints": checkpoints}
        await self.lab.api.create(resources.STREAM_JOBS, self.namespace, {"metadata": {"name": name}, "spec": spec})

    async def checkpoint(self, name: str, job: str) -> None:
        """Create a Checkpoint."""
        manifest = {"metadata": {"name": name}, "spec": {"jobRef": {"name": job}}}
        await self.lab.api.create(resources.CHECKPOINTS, self.namespace, manifest)

    async def until_quiet(self, seconds: float) -> None:
        """Wait until nothing was written for so long: the absence of events cannot be watched for."""
        while self.quiet_seconds < seconds:  # noqa: ASYNC110
            await asyncio.sleep(seconds - self.quiet_seconds + 0.01)


_OF_THE_CRASH_HARNESS = ("PENSTOCK_LEASE_SECONDS", "PENSTOCK_WATCH_NAMESPACES", "SSL_CERT_FILE", "SSL_CERT_DIR")


class Watch:
    """A watch of one kind in one namespace, that knows since when each object has been as wanted."""

    def __init__(self, plane: Plane, resource: Resource, namespace: str, wanted: Callable[[Manifest], bool]) -> None:
        self._url = f"{plane.api}{resource.path(namespace)}?watch=true"
        self._wanted = wanted
        self.since: dict[str, float] = {}
        """By name, by the monotonic clock."""
        self.seen: dict[str, Manifest] = {}
        self._changed = asyncio.Condition()
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None)
        async with (
            aiohttp.ClientSession(read_bufsize=1 << 22) as session,
            session.get(
                self._url, ssl=unverified(), headers={"Authorization": f"Bearer {ADMIN}"}, timeout=timeout
            ) as answer,
        ):
            async for line in answer.content:
                now = time.monotonic()
                item = json.loads(line)["object"]
                name = item["metadata"]["name"]
                self.seen[name] = item
                if self._wanted(item):
                    self.since.setdefault(name, now)
                async with self._changed:
                    self._changed.notify_all()

    async def until(self, reached: Callable[[], bool], seconds: float) -> None:
        """Wait until something is so of what was seen.

        Raises:
            TimeoutError: when it does not come.
        """
        async with asyncio.timeout(seconds), self._changed:
            while not reached():
                if self._task.done():
                    self._task.result()
                await self._changed.wait()

    async def close(self) -> None:
        """End it."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


def runs(item: Manifest) -> bool:
    """Whether a StreamJob runs and is settled."""
    status = item.get("status") or {}
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", []))
    return ready and status.get("state") == "Running"


def has_checkpoint(item: Manifest) -> bool:
    """Whether a StreamJob's status tells of a checkpoint."""
    return "latestCheckpoint" in (item.get("status") or {})


def is_present(item: Manifest) -> bool:
    """Whether a Checkpoint is Present."""
    return bool((item.get("status") or {}).get("phase") == "Present")


def tally(effects: list[Effect]) -> Counter[str]:
    """Writes by what they are, whichever job they are of."""
    return Counter(_NUMBERED.sub("N", each.name) for each in effects)
