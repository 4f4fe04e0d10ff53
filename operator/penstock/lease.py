"""Only one operator works at a time: a Lease, renewed while it is held; losing it ends the process.

`kubernetes.aio.leaderelection` is not used: it never ends when the work ends, and compares wall-clock local times. Here
another holder's lease counts as lost when it has not been renewed for its whole duration as measured by our own
monotonic clock.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import Any

from penstock.errors import PenstockError, Stale
from penstock.kube import resources
from penstock.kube.client import Kube

log = logging.getLogger(__name__)
LEASE_NAME = "penstock-operator"


class LeaseLost(Exception):  # noqa: N818 - what happened
    """Another operator holds the lease, or it could not be renewed in time: this process must end."""


class Lease:
    """The lease of one operator process."""

    def __init__(self, kube: Kube, namespace: str, identity: str, seconds: int) -> None:
        self._kube = kube
        self._namespace = namespace
        self._identity = identity
        self._seconds = seconds
        self._renewed = 0.0
        """When it was renewed last, by our own clock."""
        self._seen: tuple[str, float] = ("", 0.0)  # resourceVersion of another's lease, and when it was first seen

    async def acquire(self) -> None:
        """Wait until this process holds the lease."""
        while True:  # only the API server knows when it is free, and it may be away itself
            if await self._taken():
                break
            await asyncio.sleep(self._seconds / 5)
        log.info("this operator (%s) holds lease %s/%s", self._identity, self._namespace, LEASE_NAME)

    def may_act(self) -> bool:
        """Whether an effect may begin: not so late that another operator could hold the lease before it has ended."""
        return time.monotonic() < self._renewed + self._seconds * 2 / 3

    async def hold(self) -> None:
        """Renew until the lease is lost.

        Raises:
            LeaseLost: when it is.
        """
        last = self._seconds * 2 / 3
        while True:
            await asyncio.sleep(self._seconds / 5)
            try:
                # Both calls together: what comes later than that is no renewal any more.
                async with asyncio.timeout_at(self._renewed + last):
                    held = await self._try()
            except (PenstockError, TimeoutError) as error:
                log.warning("lease not renewed: %s", error or "the API server did not answer in time")
            else:
                if not held:
                    msg = f"lease {LEASE_NAME} is held by another operator"
                    raise LeaseLost(msg)
            if time.monotonic() >= self._renewed + last:
                msg = f"lease {LEASE_NAME} could not be renewed for {last:.0f} s"
                raise LeaseLost(msg)

    async def release(self) -> None:
        """Let go, so that the next operator need not wait; failing to is harmless."""
        try:
            lease = await self._kube.get(resources.LEASES, self._namespace, LEASE_NAME)
            if lease is not None and lease["spec"].get("holderIdentity") == self._identity:
                lease["spec"]["holderIdentity"] = ""
                await self._kube.replace(resources.LEASES, lease)
        except PenstockError as error:
            log.info("lease not released: %s", error)

    async def _taken(self) -> bool:
        try:
            return await self._try()
        except PenstockError as error:
            log.warning("lease not acquired: %s", error)
            return False

    async def _try(self) -> bool:
        """Take or renew it. It counts from before the write: others count from when they see it."""
        began = time.monotonic()
        held = await self._write()
        if held:
            self._renewed = began
        return held

    async def _write(self) -> bool:
        lease = await self._kube.get(resources.LEASES, self._namespace, LEASE_NAME)
        if lease is None:
            manifest = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": LEASE_NAME, "namespace": self._namespace},
                "spec": self._spec({}),
            }
            return await self._kube.create(manifest) is not None
        holder = lease["spec"].get("holderIdentity", "")
        if holder not in ("", self._identity) and not self._expired(lease):
            return False
        lease["spec"] = self._spec(lease["spec"])
        try:
            await self._kube.replace(resources.LEASES, lease)
        except Stale:
            return False
        return True

    def _expired(self, lease: dict[str, Any]) -> bool:
        version = lease["metadata"]["resourceVersion"]
        if self._seen[0] != version:
            self._seen = (version, time.monotonic())
            return False
        return time.monotonic() - self._seen[1] > float(lease["spec"].get("leaseDurationSeconds", self._seconds))

    def _spec(self, old: dict[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        same = old.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._seconds,
            "acquireTime": old.get("acquireTime", now) if same else now,
            "renewTime": now,
            "leaseTransitions": int(old.get("leaseTransitions", 0)) + (0 if same else 1),
        }
