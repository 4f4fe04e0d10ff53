"""An operator that is killed on purpose, at work on the real cluster, the real Flink and the real S3 server.

It runs as a process of the test, with the settings and the rights of the installed one, which is at rest meanwhile.
All that it asks of anybody goes through the choke point of the crash harness (`tests/crash/choke.py`): the API server
by its kubeconfig, JobManagers by PENSTOCK_FLINK_ADDRESS, the store by HTTP_PROXY, since the address of the store is
Flink's too. JobManagers and the S3 server are reached at their pods' addresses.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import yaml
from yarl import URL

from tests.crash.choke import Choke
from tests.crash.effects import Effect, Request
from tests.crash.faults import Way
from tests.crash.plane import Plane
from tests.crash.processes import Process, Zygote, free_port

if TYPE_CHECKING:
    from lab import Lab

_SYSTEM = ("-n", "penstock-system")
_CACHED_SECONDS = 2.5
"""Less than the operator waits for an answer."""
Plan = Callable[[Effect], Way | None]


class Pods:
    """The world of the choke point: what the cluster itself does, and JobManagers by their pods' addresses."""

    def __init__(self, lab: Lab, session: aiohttp.ClientSession) -> None:
        self._lab, self._session = lab, session
        self._addresses: dict[str, str] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        """Every request that a JobManager has answered and that changes something: path and body."""
        self.states: dict[str, list[str]] = {}
        """Of each run, the states that Flink told."""
        self.savepoints: dict[str, list[dict[str, Any]]] = {}
        """Of each run, what Flink's history said of savepoints when it was asked last."""

    async def react(self, method: str, path: str, body: bytes) -> None:
        """The cluster reacts by itself."""

    async def ask_flink(self, host: str, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]] | None:
        """Pass a request on to the pod behind a Service; None when nobody listens there."""
        answer = await self._ask(host, method, path, body)
        run = path.removeprefix("/jobs/")
        if answer is not None and answer[1].get("state") == "FINISHED" and self.states[run].count("FINISHED") == 1:
            await self._last_look(host, run)
        return answer

    async def _last_look(self, host: str, run: str) -> None:
        """The first word of the end is held back: Flink's history comes from a cache of a second, and then never."""
        self.states[run].append("FINISHED")
        known = self.savepoints.get(run, [])
        deadline = time.monotonic() + _CACHED_SECONDS
        while self.savepoints.get(run, []) == known and time.monotonic() < deadline:
            await self._ask(host, "GET", f"/jobs/{run}/checkpoints", b"")
            await asyncio.sleep(0.1)

    async def _ask(self, host: str, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]] | None:
        address = self._addresses.get(host) or await asyncio.to_thread(self._find, host)
        if not address:
            return None
        self._addresses[host] = address
        timeout = aiohttp.ClientTimeout(total=20, connect=2)
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            async with self._session.request(
                method, f"http://{address}:8081{path}", data=body or None, headers=headers, timeout=timeout
            ) as answer:
                text = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            self._addresses.pop(host, None)
            return None
        told = dict(json.loads(text)) if text.strip() else {}
        self._note(method, path, body, told)
        return answer.status, told

    def _find(self, host: str) -> str:
        wanted = host.partition(".")[0] + "-"
        pods = self._lab.items("pods", labels="penstock.dev/component=jobmanager")
        own = [each for each in pods if each["metadata"]["name"].startswith(wanted)]
        return next((str(each["status"]["podIP"]) for each in own if each["status"].get("podIP")), "")

    def _note(self, method: str, path: str, body: bytes, told: dict[str, Any]) -> None:
        found = re.fullmatch(r"/jobs/([0-9a-f]{32})(/checkpoints)?", path)
        if method != "GET":
            self.asked.append((path, json.loads(body) if body else {}))
        elif found and found[2] and "history" in told:
            self.savepoints[found[1]] = [each for each in told["history"] if each["is_savepoint"]]
        elif found and "state" in told:
            self.states.setdefault(found[1], []).append(str(told["state"]))


class Outside(Choke):
    """The choke point before servers that are elsewhere; a plan says at which effects the operator is killed."""

    plan: Plan | None = None

    def watch(self, plan: Plan) -> None:
        """Begin to count anew."""
        self.effects = []
        self._counts = Counter()
        self.plan = plan

    def _count(self, name: str) -> Way | None:
        super()._count(name)
        if self.plan is None:
            return None
        self._counts[name] += 1
        effect = Effect(name, self._counts[name])
        self.effects.append(effect)
        return self.plan(effect)

    def _url(self, request: Request) -> URL:
        # What comes by HTTP_PROXY names its server; that name is only known inside of the cluster.
        parts = urlsplit(request.target)
        query = parts.query
        if request.method == "GET" and parts.path.endswith("/sourceconnections"):
            query = f"{query}&fieldSelector=metadata.name%3Dnobody"  # cluster-wide, and here those of other tests
        target = parts.path + (f"?{query}" if query else "")
        return super()._url(Request(request.method, target, request.headers, request.body))


class Killed:
    """The operator, and whoever kills it and starts it again."""

    def __init__(self, lab: Lab, kubeconfig: str, folder: Path) -> None:
        self._lab, self._folder = lab, folder
        self.kills: list[str] = []
        self.log = folder / "operator.log"
        self._probe = free_port()
        self._watch: asyncio.Task[None] | None = None
        self.ended_by_itself = 0
        api = yaml.safe_load(Path(kubeconfig).read_text())["clusters"][0]["cluster"]["server"]
        pod = lab.items("pods", labels="app.kubernetes.io/name=versitygw")[0]
        self._plane = Plane(folder, api, f"http://{pod['status']['podIP']}:7070")
        self._token = lab.kubectl(*_SYSTEM, "create", "token", "penstock", "--duration=2h").strip()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def open(self) -> None:
        """Begin to work in the installed operator's place, in the lab's namespace."""
        self._thread.start()
        self._do(self._open())

    def close(self) -> None:
        """End."""
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        # The next one need not wait for the end of the lease of a process that is dead.
        self._lab.kubectl(*_SYSTEM, "delete", "lease", "penstock-operator", "--ignore-not-found")

    def plan(self, plan: Plan) -> None:
        """From now on count, and kill as the plan says."""

        def noted(effect: Effect) -> Way | None:
            way = plan(effect)
            if way is not None:
                self.kills.append(f"{effect}, {way}")
            return way

        self._loop.call_soon_threadsafe(self.choke.watch, noted)

    @property
    def effects(self) -> list[Effect]:
        """What was counted since the last plan."""
        return list(self.choke.effects)

    @property
    def quiet_seconds(self) -> float:
        """How long no effect has passed."""
        return time.monotonic() - self.choke.last_effect

    def check(self) -> None:
        """Nothing went wrong in the harness, and the operator never ended but by being killed."""
        assert self.choke.problems == []
        assert self.ended_by_itself == 0, self.log.read_text()[-3000:]

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _open(self) -> None:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)
        self.pods = Pods(self._lab, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        self.choke = Outside(self._plane, self._lab.namespace, self.pods, self._session)  # type: ignore[arg-type]
        self.choke.kill, self.choke.restart = self._kill, self._start
        await self.choke.open()
        self._zygote = await Zygote.open(self._folder / "launcher.log")
        await self._start()

    async def _close(self) -> None:
        await self._kill(Way.BEFORE)
        await self.choke.close()
        await self._zygote.close()
        await self._session.close()
        await self.pods._session.close()

    async def _start(self) -> None:
        server = self.choke.address
        env = {
            "KUBECONFIG": str(self._plane.kubeconfig("operator", server, self._token)),
            "PENSTOCK_WATCH_NAMESPACES": self._lab.namespace,
            # As a container that is started again in its pod: it need not wait for its own lease.
            "PENSTOCK_IDENTITY": "penstock-killed",
            "PENSTOCK_PROBE_PORT": str(self._probe),
            "PENSTOCK_FLINK_ADDRESS": f"{server}/flink/{{host}}",
            "HTTP_PROXY": server,
            "http_proxy": server,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        self._process = await self._zygote.fork(env, self.log)
        self._watch = asyncio.create_task(self._start_again(self._process))

    async def _start_again(self, process: Process) -> None:
        """As the kubelet does with a container that has ended by itself."""
        await process.gone()
        self.ended_by_itself += 1
        await self._start()

    async def _kill(self, way: Way) -> None:
        del way
        if self._watch is not None:
            self._watch.cancel()
        await self._process.kill()
