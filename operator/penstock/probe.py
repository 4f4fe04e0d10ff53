"""Liveness, for the kubelet: whether this process does its work, from its start on, with the lease or waiting for it.

Only what a restart would mend makes it fail: an event loop that stands still does not answer, and a pass that never
ends is told. That a store, a JobManager, a broker or the API server does not answer is no reason: it would not be
otherwise after a restart, and all jobs would be without an operator meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

_UNAVAILABLE = 503


@asynccontextmanager
async def liveness(port: int, troubles: Sequence[Callable[[], str]]) -> AsyncIterator[None]:
    """Answer `GET /healthz` on all addresses meanwhile.

    Args:
        port: TCP port.
        troubles: each says in words why the process is to be started anew; empty: it is not.
    """

    async def answer(_: web.Request) -> web.Response:
        found = "; ".join(filter(None, (trouble() for trouble in troubles)))
        return web.Response(text=found or "ok", status=_UNAVAILABLE if found else 200)

    app = web.Application()
    app.router.add_get("/healthz", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "0.0.0.0", port).start()  # noqa: S104 - the kubelet asks from outside of the pod
        yield
    finally:
        await runner.cleanup()
