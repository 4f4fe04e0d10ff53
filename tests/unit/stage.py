"""A CheckpointStore with the object store behind it, and a clock that a test turns."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from penstock.api import constants
from penstock.errors import PenstockError
from penstock.settings import Settings
from penstock.stores import reconcile_store
from penstock.world import World
from tests.unit.builders import NOW, store_manifest
from tests.unit.fakes import FakeKube, FakeStore, Manifest

CLUSTER = "99999999-9999-4999-8999-999999999999"
OTHER_CLUSTER = "88888888-8888-4888-8888-888888888888"
MARK = "team/penstock.json"
SYSTEM: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": CLUSTER}}
OURS: dict[str, Any] = {MARK: {"cluster": CLUSTER, "store": "main"}}
FOREIGN: dict[str, Any] = {MARK: {"cluster": OTHER_CLUSTER, "store": "main"}}


class Stage:
    """A CheckpointStore `main`, the object store behind it, and a clock."""

    def __init__(self, stored: Manifest, *others: Manifest, keys: dict[str, Any] | None = None) -> None:
        self.kube = FakeKube(SYSTEM, stored, *others)
        self.s3 = FakeStore(OURS if keys is None else keys)
        self.now = NOW
        kube: Any = self.kube
        nothing: Any = None
        self.world = World(Settings(), kube, nothing, nothing, nothing)

    async def look(self, times: int = 1) -> float | None:
        """Passes without any time in between; what the last one asks for."""
        for _ in range(times):
            pause = await reconcile_store(self.world, "main")
        return pause

    async def look_for(self, seconds: float) -> None:
        """Passes, each when the one before asked for it."""
        until = self.now + timedelta(seconds=seconds)
        while self.now < until:
            self.now += timedelta(seconds=await self.look() or 1.0)

    @property
    def stored(self) -> Manifest:
        return self.kube.of("CheckpointStore")["main"]

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.stored.get("status") or {})

    def condition(self, kind: str) -> dict[str, Any]:
        return next((each for each in self.status["conditions"] if each["type"] == kind), {})

    @property
    def told(self) -> tuple[str, str, str, str]:
        """Ready with its reason, Reconciling, Stalled."""
        ready = self.condition("Ready")
        others = (self.condition(kind)["status"] for kind in ("Reconciling", "Stalled"))
        return (ready["status"], ready["reason"], *others)  # type: ignore[return-value]

    @property
    def writes(self) -> int:
        return sum(verb == "status" for verb, _, _ in self.kube.calls)

    @property
    def written_keys(self) -> list[str]:
        return [key for verb, key in self.s3.calls if verb in ("write", "delete")]

    def fail(self, error: PenstockError | None) -> None:
        """From now on the object store fails so; None: it answers again."""

        def before(_verb: str, _key: str) -> None:
            if error is not None:
                raise error

        self.s3.before = before


def fresh(finalizers: tuple[str, ...] = (constants.FINALIZER_IN_USE,), **spec: Any) -> Manifest:
    made = store_manifest(**spec)
    return made | {"metadata": made["metadata"] | {"finalizers": list(finalizers)}, "status": {}}
