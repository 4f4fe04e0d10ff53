"""The choke point: a proxy on loopback that every request of one operator passes, and that counts its effects.

It stands outside of the operator's process: the operator's code is unchanged, and the count survives the kill. Watches
stream through. After a write has been passed on the world reacts (`kubelet.py`) before the answer goes back, so that
what the operator sees next does not depend on who is quicker.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

from tests.crash.effects import Effect, Request, name_of
from tests.crash.faults import Fault, Way, refusal
from tests.crash.kubelet import World
from tests.crash.moments import Moments
from tests.crash.plane import Plane, unverified
from tests.crash.servers import ApiError
from tests.crash.telling import Telling

_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "expect", "content-length", "upgrade", "te"})
_GIVEN_SECONDS = 0.1
"""How long an operator that was given its answer lives on when it asks for nothing more."""
_DRAIN_SECONDS = 0.01
_END_SECONDS = 15.0
"""What was passed on when its operator died is waited for so long."""


class Choke:
    """One operator's way out."""

    def __init__(self, plane: Plane, namespace: str, world: World, session: aiohttp.ClientSession) -> None:
        self._plane, self._namespace, self._world, self._session = plane, namespace, world, session
        self.kill: Callable[[Way], Awaitable[None]] = _nobody
        """Kills the operator; set by the run."""
        self.restart: Callable[[], Awaitable[None]] = _nothing
        self.problems: list[str] = []
        """What went wrong in the harness itself."""
        self.fault: Fault | None = None
        self.hit = False
        self.hit_after: tuple[Effect, ...] | None = None
        """The effects before the one that was hit; None: another write was under way when it came."""
        self.moments: Moments | None = None
        """Keeps what the world was at each effect, if anybody wants to know."""
        self.effects: list[Effect] = []
        """In order, since it was armed."""
        self.requests = 0
        self.last_effect = time.monotonic()
        self._armed = False
        self._counts: Counter[str] = Counter()
        self._dying = self._killed = False
        self._telling = Telling()
        self._begun: set[asyncio.Task[web.Response]] = set()
        """Writes that are under way; they end, whatever becomes of who asked for them."""
        self._runner: web.AppRunner | None = None
        self.address = ""

    async def open(self) -> None:
        """Listen."""
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # Cancellation: when the operator has died, its watches at the API server are to end.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.address = f"http://127.0.0.1:{port}"

    async def close(self) -> None:
        """Stop listening, and let end what has begun."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._begun:
            await asyncio.wait(self._begun, timeout=_END_SECONDS)

    def arm(self, fault: Fault | None) -> None:
        """Begin to count; have this happen."""
        self.fault, self._armed = fault, True

    # ------------------------------------------------------------ requests

    async def _handle(self, incoming: web.Request) -> web.StreamResponse:
        self.requests += 1
        if self._dying:
            await asyncio.Event().wait()  # its process is being killed: nothing more of it counts
        request = Request(incoming.method, incoming.raw_path, incoming.headers, await incoming.read())
        name = name_of(request, self._namespace)
        if name is None:
            return await self._pass_read(incoming, request)
        if self._telling.is_all(request):
            return await self._begin(self._watched(self._forward(request), None))
        way = self._count(name)
        effect = self.effects[-1] if self._armed else None
        response = await self._begin(self._watched(self._effect(incoming, request, way), effect))
        if way is Way.TIMEOUT:
            await asyncio.Event().wait()  # until the operator gives it up, which cancels this
        return response

    async def _begin(self, work: Coroutine[Any, Any, web.Response]) -> web.Response:
        """Shielded: what has been begun ends, even when the operator dies meanwhile because of another request."""
        if self._begun and self.hit and not self._killed:
            self.hit_after = None
        task = asyncio.ensure_future(work)
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        return await asyncio.shield(task)

    async def _watched(self, work: Awaitable[web.Response], effect: Effect | None) -> web.Response:
        if self.moments is None or not self._armed:
            return await work
        async with self.moments.of(effect):
            return await work

    def _count(self, name: str) -> Way | None:
        self.last_effect = time.monotonic()
        if not self._armed:
            return None
        self._counts[name] += 1
        effect = Effect(name, self._counts[name])
        self.effects.append(effect)
        if self.fault is not None and not self.hit and self.fault.is_at(effect, len(self.effects) - 1):
            self.hit = True
            self.hit_after = None if self._begun else tuple(self.effects[:-1])
            return self.fault.way
        return None

    async def _effect(self, incoming: web.Request, request: Request, way: Way | None) -> web.Response:
        try:
            return await self._carry_out(incoming, request, way)
        except (OSError, RuntimeError, aiohttp.ClientError, ApiError) as error:
            self.problems.append(f"{request.method} {request.path}: {type(error).__name__} {error}")
            raise
        finally:
            self.last_effect = time.monotonic()

    async def _carry_out(self, incoming: web.Request, request: Request, way: Way | None) -> web.Response:
        if way is Way.BEFORE:
            await self._kill(way)
            return web.Response(status=500)  # nobody is left to read it
        if way is not None and way.refuses:
            body, kind = refusal(request.side, way.refuses)
            return web.Response(status=way.refuses, body=body, headers={"Content-Type": kind})
        response = await self._forward(request)
        if way is Way.LOST:
            await self._kill(way)
        elif way is Way.GIVEN:
            self._dying = True
            response.force_close()
            await response.prepare(incoming)
            await response.write_eof()
            await self._take_in()
            await self._kill(way)
        return response

    async def _take_in(self) -> None:
        """Let the operator take its answer in: until it asks for anything again, which is not answered any more."""
        before, deadline = self.requests, time.monotonic() + _GIVEN_SECONDS
        while self.requests == before and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    async def _kill(self, way: Way) -> None:
        self._dying = True
        await self.kill(way)
        await asyncio.sleep(_DRAIN_SECONDS)  # what the dead process has sent is read, and not carried out
        self._dying, self._killed = False, True
        await self.restart()

    # ------------------------------------------------------------ passing on

    async def _forward(self, request: Request) -> web.Response:
        """Pass on a request whose answer is short, and let the world react to it."""
        if request.side == "flink":
            return await self._ask_flink(request)
        async with self._session.request(
            request.method, self._url(request), data=request.body, **self._options(request)
        ) as answer:
            body = await answer.read()
        if request.side == "kubernetes" and answer.status < 300:
            await self._world.react(request.method, request.path, body)
        return web.Response(status=answer.status, body=body, headers=_end_to_end(answer))

    async def _ask_flink(self, request: Request) -> web.Response:
        host, _, path = request.target.removeprefix("/flink/").partition("/")
        answer = await self._world.ask_flink(host, request.method, f"/{path}", request.body)
        if answer is None:
            return web.Response(status=599)  # marks: nobody listens there
        return web.json_response(answer[1], status=answer[0])

    async def _pass_read(self, incoming: web.Request, request: Request) -> web.StreamResponse:
        if request.side == "flink":
            response = await asyncio.shield(asyncio.ensure_future(self._ask_flink(request)))
            if response.status == 599 and incoming.transport is not None:
                incoming.transport.abort()
            return response
        if request.is_lease and request.method != "GET":
            return await self._forward(request)
        async with self._session.request(
            request.method, self._url(request), data=request.body or None, **self._options(request)
        ) as answer:
            response = web.StreamResponse(status=answer.status, headers=_end_to_end(answer))
            if "Content-Length" in answer.headers:
                response.content_length = int(answer.headers["Content-Length"])
            with contextlib.suppress(ConnectionResetError):  # the operator was killed while it read
                await response.prepare(incoming)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
            return response

    def _url(self, request: Request) -> URL:
        root = self._plane.api if request.side == "kubernetes" else self._plane.s3
        target = request.target
        if request.method == "GET" and request.path.endswith("/checkpointstores"):
            # Stores are cluster-wide, and each run has one: an operator is to see only its own.
            joint = "&" if urlsplit(target).query else "?"
            target += f"{joint}fieldSelector=metadata.name%3D{self._namespace}"
        return URL(root + target, encoded=True)

    def _options(self, request: Request) -> dict[str, object]:
        # Host stays as it came: the signature of an S3 request covers it.
        kept = {key: value for key, value in request.headers.items() if key.lower() not in _HOP}
        return {
            "headers": kept,
            "ssl": unverified(),
            "allow_redirects": False,
            "skip_auto_headers": ("User-Agent", "Accept-Encoding", "Accept", "Content-Type"),
            "timeout": aiohttp.ClientTimeout(total=None),
        }


def _end_to_end(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {key: value for key, value in answer.headers.items() if key.lower() not in _HOP}


async def _nobody(_: Way) -> None:
    raise RuntimeError("there is no operator to kill")


async def _nothing() -> None:
    raise RuntimeError("there is no operator to start")
