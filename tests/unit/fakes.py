"""A Kubernetes API and an object store as dicts, with the clients' methods and errors."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from penstock.errors import Refused, Stale
from penstock.kube.resources import Resource, resource_of
from penstock.store.client import Stored
from penstock.store.layout import Place
from tests.unit.builders import PLACE

Manifest = dict[str, Any]
MODIFIED = datetime(2026, 1, 31, 11, 0, tzinfo=UTC)


class FakeKube:
    """What `penstock.kube.client.Kube` does, on a dict. `before` may raise in front of any call."""

    def __init__(self, *manifests: Manifest) -> None:
        self.objects: dict[tuple[str, str, str], Manifest] = {}
        self.closed = False
        self.calls: list[tuple[str, str, str]] = []
        self.before: Callable[[str, str, str], None] = lambda _verb, _kind, _name: None
        self._version = 0
        for manifest in manifests:
            self._put(resource_of(manifest), copy.deepcopy(manifest))

    async def close(self) -> None:
        self.closed = True

    def of(self, kind: str) -> dict[str, Manifest]:
        """Objects of a kind by name."""
        return {name: each for (found, _, name), each in self.objects.items() if found == kind}

    def _called(self, verb: str, resource: Resource, name: str) -> None:
        self.before(verb, resource.kind, name)
        self.calls.append((verb, resource.kind, name))

    def _put(self, resource: Resource, manifest: Manifest) -> Manifest:
        self._version += 1
        meta = manifest["metadata"]
        meta["resourceVersion"] = str(self._version)
        meta.setdefault("uid", f"uid-{self._version}")
        self.objects[resource.kind, meta.get("namespace") or "", meta["name"]] = manifest
        return copy.deepcopy(manifest)

    def _live(self, resource: Resource, manifest: Manifest) -> Manifest:
        meta = manifest["metadata"]
        found = self.objects.get((resource.kind, meta.get("namespace") or "", meta["name"]))
        if found is None:
            raise Refused("not found", "NotFound", 404)
        if meta.get("resourceVersion") not in (None, found["metadata"]["resourceVersion"]):
            raise Stale("409 Conflict")
        return found

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest | None:
        self._called("get", resource, name)
        return copy.deepcopy(self.objects.get((resource.kind, namespace or "", name)))

    async def find(
        self, resource: Resource, namespace: str | None, *, labels: str | None = None, fields: str | None = None
    ) -> list[Manifest]:
        self._called("find", resource, "")
        wanted = dict(part.split("=") for part in (labels or "").split(",") if part)
        job = (fields or "=").split("=")[1]
        return [
            copy.deepcopy(each)
            for (kind, space, _), each in self.objects.items()
            if kind == resource.kind
            and namespace in (None, space)
            and wanted.items() <= (each["metadata"].get("labels") or {}).items()
            and (not job or each["spec"]["jobRef"]["name"] == job)
        ]

    async def pages(self, resource: Resource, namespace: str | None, **more: Any) -> AsyncIterator[list[Manifest]]:
        found = await self.find(resource, namespace, **more)
        for item in found:
            yield [item]

    async def apply(self, manifest: Manifest) -> Manifest:
        resource = resource_of(manifest)
        self._called("apply", resource, manifest["metadata"]["name"])
        return self._put(resource, copy.deepcopy(manifest))

    async def create(self, manifest: Manifest) -> Manifest | None:
        resource, meta = resource_of(manifest), manifest["metadata"]
        self._called("create", resource, meta["name"])
        if (resource.kind, meta.get("namespace") or "", meta["name"]) in self.objects:
            return None
        return self._put(resource, copy.deepcopy(manifest))

    async def replace_status(self, resource: Resource, manifest: Manifest) -> Manifest:
        self._called("status", resource, manifest["metadata"]["name"])
        live = self._live(resource, manifest)
        return self._put(resource, live | {"status": copy.deepcopy(manifest["status"])})

    async def replace(self, resource: Resource, manifest: Manifest) -> Manifest:
        self._called("replace", resource, manifest["metadata"]["name"])
        self._live(resource, manifest)
        return self._put(resource, copy.deepcopy(manifest))

    async def merge(self, resource: Resource, namespace: str | None, name: str, patch: Manifest) -> Manifest:
        self._called("merge", resource, name)
        meta = {"name": name, "namespace": namespace} | patch["metadata"]
        live = self._live(resource, {"metadata": meta})
        merged = live["metadata"] | {key: value for key, value in patch["metadata"].items() if key != "resourceVersion"}
        if "annotations" in patch["metadata"]:
            both = (live["metadata"].get("annotations") or {}) | patch["metadata"]["annotations"]
            merged["annotations"] = {key: value for key, value in both.items() if value is not None}
        return self._put(resource, live | {"metadata": merged})

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None, grace: int | None = None
    ) -> bool:
        self._called("delete", resource, name)
        found = self.objects.get((resource.kind, namespace or "", name))
        if found is None:
            return False
        if uid not in (None, found["metadata"]["uid"]):
            raise Stale("409 Conflict: the uid is another")
        assert grace is None or grace >= 0
        del self.objects[resource.kind, namespace or "", name]
        return True


class FakeStore:
    """What `penstock.store.client.ObjectStore` does, on a dict. `before` may raise in front of any call."""

    def __init__(self, keys: dict[str, bytes | dict[str, Any]] | None = None, place: Place = PLACE) -> None:
        self.place = place
        self.keys: dict[str, bytes | dict[str, Any]] = dict(keys or {})
        self.deleted: list[str] = []
        self.warned: tuple[str, ...] = ()
        self.calls: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] = lambda _verb, _key: None

    def _called(self, verb: str, key: str) -> None:
        self.before(verb, key)
        self.calls.append((verb, key))

    def size_of(self, _key: str) -> int:
        """Ten bytes, whatever it holds."""
        return 10

    async def list(self, prefix: str) -> tuple[Stored, ...]:
        self._called("list", prefix)
        return tuple(Stored(key, self.size_of(key), MODIFIED) for key in sorted(self.keys) if key.startswith(prefix))

    async def folders(self, prefix: str) -> tuple[str, ...]:
        self._called("list", prefix)
        inside = (key[len(prefix) :] for key in sorted(self.keys) if key.startswith(prefix))
        return tuple(dict.fromkeys(each.split("/")[0] for each in inside if "/" in each))

    async def read(self, key: str, *, first: int | None = None, after: int = 0) -> bytes | None:
        self._called("read", key)
        found = self.keys.get(key)
        return found[after : after + first if first else None] if isinstance(found, bytes) else None

    async def head(self, key: str) -> Stored | None:
        self._called("head", key)
        return Stored(key, self.size_of(key), MODIFIED) if key in self.keys else None

    async def consume(self, key: str, use: Callable[[Iterator[bytes]], Any]) -> Any:
        self._called("read", key)
        found = self.keys.get(key)
        return use(iter([found])) if isinstance(found, bytes) else None

    async def read_json(self, key: str) -> dict[str, Any] | None:
        self._called("read", key)
        found = self.keys.get(key)
        return found if isinstance(found, dict) else None

    async def warnings(self) -> tuple[str, ...]:
        self._called("warnings", "")
        return self.warned

    async def write_json(self, key: str, value: dict[str, Any]) -> None:
        self._called("write", key)
        self.keys[key] = value

    async def create_json(self, key: str, value: dict[str, Any]) -> None:
        self._called("write", key)
        self.keys.setdefault(key, value)

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._called("delete", key)
            self.keys.pop(key, None)
            self.deleted.append(key)
