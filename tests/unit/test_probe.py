"""The liveness probe: what makes it fail, and what does not."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest

from penstock.probe import liveness
from penstock.queue import WorkQueue


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize(
    ("troubles", "status", "text"), [([], 200, "ok"), (["", ""], 200, "ok"), (["", "a", "b"], 503, "a; b")]
)
async def test_what_it_answers(troubles, status, text):
    port = free_port()
    async with (
        liveness(port, [lambda words=words: words for words in troubles]),
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/healthz") as answer,
    ):
        assert (answer.status, await answer.text()) == (status, text)


async def test_a_pass_that_never_ends_is_told():
    held = asyncio.Event()

    async def work(_: str) -> None:
        await held.wait()

    queue = WorkQueue(work, 2)
    queue.add("first")
    assert queue.overdue(0) == ""
    task = asyncio.create_task(queue.run())
    await asyncio.sleep(0.05)
    assert queue.overdue(60) == ""
    assert queue.overdue(0.01) == "first has been worked on for 0 s"
    held.set()
    await asyncio.sleep(0.01)
    assert queue.overdue(0.01) == ""
    task.cancel()
