"""The operator's process: its parts begin and end together, and the lease is given up last."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from penstock import __main__ as module
from penstock.connections import ConnectionKey
from penstock.errors import RetryLater
from penstock.lease import LEASE_NAME, LeaseLost
from penstock.reconcile import JobKey
from penstock.settings import Settings
from penstock.shell.watch import Add
from tests.unit.builders import JOB, NAMESPACE
from tests.unit.fakes import FakeKube, Manifest

SETTINGS = Settings(identity="me", lease_seconds=1, workers=2, probe_port=0)
LEASE = ("Lease", SETTINGS.namespace, LEASE_NAME)
Watch = Callable[[], Awaitable[object]]


class Process:
    """A run of the operator on a fake API server; `watch` stands for kopf."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kube = FakeKube()
        self.stop = asyncio.Event()
        self.watching = asyncio.Event()
        self.watch_ended = False
        self.watch: Watch = asyncio.Event().wait
        self.add: Add
        self.store_is_idle = True
        monkeypatch.setattr(module, "Kube", lambda _: self.kube)
        monkeypatch.setattr(module, "load_configuration", _nothing)
        monkeypatch.setattr(module, "watch", self._watch)
        monkeypatch.setattr(module.ObjectStore, "idle", self._idle)

    async def _idle(self, _seconds: float) -> bool:
        return self.store_is_idle

    async def _watch(self, add: Any, _settings: Settings, _stop: asyncio.Event) -> None:
        self.add = add
        self.watching.set()
        try:
            await self.watch()
        finally:
            self.watch_ended = True

    async def run(self) -> None:
        async with asyncio.timeout(10):
            await module.run(SETTINGS, self.stop)

    def begin(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.run())

    @property
    def holder(self) -> str:
        return str(self.kube.objects[LEASE]["spec"]["holderIdentity"])


async def _nothing() -> None:
    return None


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    return Process(monkeypatch)


def held_by(holder: str) -> Manifest:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": LEASE_NAME, "namespace": SETTINGS.namespace},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 1000},
    }


# ---------------------------------------------------------------- its parts


async def test_it_ends_when_it_is_told_to(process):
    task = process.begin()
    await process.watching.wait()
    assert process.holder == "me"
    process.stop.set()
    await task
    assert (process.holder, process.watch_ended, process.kube.closed) == ("", True, True)


async def test_nothing_is_watched_before_the_lease_is_held(process):
    process.kube = FakeKube(held_by("another"))
    task = process.begin()
    await asyncio.sleep(0.3)
    assert not process.watching.is_set()
    process.stop.set()
    await task
    assert (process.watching.is_set(), process.holder, process.kube.closed) == (False, "another", True)


async def test_it_ends_when_the_lease_is_lost(process):
    task = process.begin()
    await process.watching.wait()
    process.kube.objects[LEASE] = held_by("another") | {"metadata": process.kube.objects[LEASE]["metadata"]}
    with pytest.raises(LeaseLost):
        await task
    assert (process.holder, process.watch_ended, process.kube.closed) == ("another", True, True)


async def test_it_ends_when_the_watches_end(process):
    process.watch = _ends
    await process.run()
    assert (process.holder, process.kube.closed) == ("", True)


async def _ends() -> None:
    await asyncio.sleep(0)


async def test_it_ends_with_the_error_of_the_watches(process):
    process.watch = _fails
    with pytest.raises(RuntimeError, match="no CRDs"):
        await process.run()
    assert (process.holder, process.kube.closed) == ("", True)


async def _fails() -> None:
    raise RuntimeError("no CRDs")


async def test_it_ends_when_the_queue_ends(process, monkeypatch):
    async def broken(_: Any) -> None:
        raise RuntimeError("the queue is broken")

    monkeypatch.setattr(module.WorkQueue, "run", broken)
    with pytest.raises(RuntimeError, match="the queue is broken"):
        await process.run()
    assert (process.holder, process.watch_ended, process.kube.closed) == ("", True, True)


async def test_watches_that_do_not_let_go_do_not_keep_the_lease(process, monkeypatch):
    monkeypatch.setattr(module, "_LAST_SECONDS", 0.05)
    release = asyncio.Event()

    async def stubborn() -> None:
        try:
            await release.wait()
        except asyncio.CancelledError:
            await release.wait()

    process.watch = stubborn
    task = process.begin()
    await process.watching.wait()
    process.stop.set()
    await task
    assert (process.holder, process.watch_ended) == ("", False)
    release.set()


async def test_a_lease_that_cannot_be_given_up_is_no_error(process):
    task = process.begin()
    await process.watching.wait()

    def fail(*_: str) -> None:
        raise RetryLater("time-out")

    process.kube.before = fail
    process.stop.set()
    await task
    assert process.kube.closed


async def test_the_lease_is_not_given_up_while_something_is_still_asked_of_a_store(process):
    """It may be a deletion, of what the next operator has just chosen to start from."""
    process.store_is_idle = False
    task = process.begin()
    await process.watching.wait()
    process.stop.set()
    await task
    assert (process.holder, process.kube.closed) == ("me", True)


# ---------------------------------------------------------------- what is worked on


async def test_a_key_is_worked_on_by_what_it_is_of(process):
    task = process.begin()
    await process.watching.wait()
    process.add("main")
    process.add(JobKey(NAMESPACE, JOB))
    process.add(ConnectionKey("events"))
    wanted = {("get", "CheckpointStore", "main"), ("get", "StreamJob", JOB), ("get", "SourceConnection", "events")}
    async with asyncio.timeout(5):
        while not wanted <= set(process.kube.calls):  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
    process.stop.set()
    await task


# ---------------------------------------------------------------- how it ends for whoever started it


def ending(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> Any:
    """What the process ends with when `run` ends so."""

    async def run(_settings: Settings, _stop: asyncio.Event) -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module.os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as ended:
        module.main()
    return ended.value.code


@pytest.mark.parametrize(("error", "code"), [(None, 0), (LeaseLost("held by another"), 1)], ids=str)
def test_what_the_process_ends_with(monkeypatch, error, code):
    assert ending(monkeypatch, error) == code


def test_a_bad_setting_is_told_in_one_line(monkeypatch):
    monkeypatch.setenv("PENSTOCK_WORKERS", "many")
    assert ending(monkeypatch, None) == "penstock: PENSTOCK_WORKERS must be a whole number of at least 1, not 'many'"


def test_an_error_that_nobody_expected_is_not_hidden(monkeypatch):
    async def run(_settings: Settings, _stop: asyncio.Event) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "run", run)
    with pytest.raises(RuntimeError, match="a bug"):
        module.main()


async def test_sigterm_ends_it():
    """In a process of its own, because signals are one per process."""
    program = (
        "import asyncio, os, signal\n"
        "from penstock import __main__ as module\n"
        "async def run(settings, stop):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    await asyncio.wait_for(stop.wait(), 10)\n"
        "module.run = run\n"
        "module.main()\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", program, env=environment)
    assert await ended.wait() == 0
