"""The operator's process: lease, then the queue's workers and kopf's watches; it ends when any of them ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable
from typing import Any

import aiohttp

from penstock.brokers import measure
from penstock.connections import ConnectionKey, reconcile_connection
from penstock.flink.client import FlinkRest
from penstock.inventory.verifier import Verifier
from penstock.kube.client import Kube, load_configuration
from penstock.lease import Lease, LeaseLost
from penstock.probe import liveness
from penstock.queue import WorkQueue
from penstock.reconcile import JobKey, Reconciler
from penstock.reports import Reports
from penstock.settings import Settings
from penstock.shell.watch import Key, watch
from penstock.source.measurer import Measurer
from penstock.store.client import ObjectStore
from penstock.stores import reconcile_store
from penstock.world import World

log = logging.getLogger("penstock")
_LAST_SECONDS = 3.0
_CONNECTION_WORKERS = 2
_STUCK_SECONDS = 900.0
"""No pass takes so long that still does something."""


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the operator until `stop` is set, the lease is lost or a part of it ends."""
    kube = Kube(await load_configuration())
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64, ttl_dns_cache=2)) as session:

        async def work(key: JobKey | str) -> float | None:
            if isinstance(key, JobKey):
                return await reconciler.reconcile(key)
            pause = await reconcile_store(world, key)
            if pause is not None:
                reports.follow(key)
            return pause

        def add(key: Key) -> None:
            if isinstance(key, ConnectionKey):
                connections.add(key)
            else:
                queue.add(key)

        queue: WorkQueue[JobKey | str] = WorkQueue(work, settings.workers)
        # Of its own: a broker that does not answer must not delay a job's pass.
        connections: WorkQueue[ConnectionKey] = WorkQueue(
            lambda key: reconcile_connection(world, key.name), _CONNECTION_WORKERS
        )
        verifier = Verifier(lambda namespace, name: queue.add(JobKey(namespace, name)))
        measurer = Measurer(
            lambda wish: measure(kube, settings.namespace, wish),
            lambda namespace, name: queue.add(JobKey(namespace, name)),
        )
        world = World(settings, kube, FlinkRest(session), verifier, measurer)
        lease = Lease(kube, settings.namespace, settings.identity, settings.lease_seconds)
        reconciler = Reconciler(world, lease.may_act)
        reports = Reports(world)
        troubles = [lambda: queue.overdue(_STUCK_SECONDS), lambda: connections.overdue(_STUCK_SECONDS)]
        try:
            async with liveness(settings.probe_port, troubles):
                if not await _unless_stopped(lease.acquire(), stop):
                    return
                await _until_first_ends(
                    asyncio.create_task(lease.hold(), name="lease"),
                    asyncio.create_task(queue.run(), name="queue"),
                    asyncio.create_task(connections.run(), name="connections"),
                    asyncio.create_task(reports.run(), name="reports"),
                    asyncio.create_task(stop.wait(), name="stop"),
                    asyncio.create_task(watch(add, settings, stop), name="watch"),
                )
        finally:
            # What still deletes in a thread must not meet the next operator: else that one waits for the lease's end.
            if await ObjectStore.idle(_LAST_SECONDS):
                await lease.release()
            else:
                log.warning("the object store has not answered: the lease is left to run out")
            await kube.close()


async def _unless_stopped(work: Awaitable[None], stop: asyncio.Event) -> bool:
    """Wait for some work, or for the stop; True when the work is done."""
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()
    return tasks[0] in done


async def _until_first_ends(*tasks: asyncio.Task[object]) -> None:
    """When one part ends the others must not go on alone. An error of the first one is raised."""
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    log.info("%s has ended, so the operator ends", ", ".join(sorted(task.get_name() for task in done)))
    for task in pending:
        task.cancel()
    # kopf may take long to let go of its streams; the lease must be given up before the pod is killed.
    if pending:
        await asyncio.wait(pending, timeout=_LAST_SECONDS)
    for task in done:
        task.result()


async def _main() -> int:
    settings = Settings.from_environment()
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)-7s %(name)s %(message)s", stream=sys.stdout
    )
    for noisy in ("kopf", "aiohttp.access", "botocore", "boto3", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await run(settings, stop)
    except LeaseLost as error:
        log.error("%s", error)  # noqa: TRY400 - expected, no trace wanted
        return 1
    return 0


def main() -> None:
    """Entry point of `python3 -m penstock`: the operator. The command `penstock` is another (`penstock.cli`)."""
    try:
        code = asyncio.run(_main())
    except ValueError as error:
        sys.exit(f"penstock: {error}")
    # Not `sys.exit`, which would wait for the threads: what they still ask of a store must not outlast the lease.
    logging.shutdown()
    os._exit(code)


if __name__ == "__main__":
    main()
