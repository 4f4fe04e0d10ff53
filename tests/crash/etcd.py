"""etcd, asked without the API server: what there is of a namespace, and how to have all of it gone at once.

Deleting by the API would cost a request for each object, wait for finalizers, and be seen by operators. Here it is one
transaction; the API server's caches and the garbage collector hear of it as of any deletion, because they watch etcd.
"""

from __future__ import annotations

import base64
from typing import Any

import aiohttp

_ROOT = "/registry/"
_UNSEEN = ("events", "leases")
"""What an operator cannot tell the past by: it may not read Events, and its lease is its own whoever it was."""
_SEEN = (
    "configmaps",
    "controllerrevisions",
    "deployments",
    "endpointslices",
    "jobs",
    "penstock.dev/checkpoints",
    "penstock.dev/streamjobs",
    "pods",
    "rolebindings",
    "roles",
    "secrets",
    "serviceaccounts",
    "services/endpoints",
    "services/specs",
)
_NAMED_SO = ("namespaces", "penstock.dev/checkpointstores")
"""Cluster-wide kinds of which each run has one, under the name of its namespace."""


class Etcd:
    """The etcd of the API server, over its HTTP gateway."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self._address, self._session = address, session

    async def versions(self, namespace: str) -> list[tuple[str, str]]:
        """Keys of all that an operator can see of a namespace, each with the revision that wrote it last."""
        asked = [{"request_range": each | {"keys_only": True}} for each in _ranges(namespace, _SEEN)]
        answer = await self._ask("txn", {"success": asked})
        found = [item for part in answer["responses"] for item in part["response_range"].get("kvs", [])]
        return [(item["key"], item["mod_revision"]) for item in found]

    async def clear(self, namespace: str) -> None:
        """Delete all that there is of a namespace, itself included."""
        asked = [{"request_delete_range": each} for each in _ranges(namespace, _SEEN + _UNSEEN)]
        await self._ask("txn", {"success": asked})

    async def left(self, namespace: str) -> list[str]:
        """Every key that has the namespace as a part, wherever it stands."""
        asked = _range(_ROOT, _after(_ROOT)) | {"keys_only": True}
        answer = await self._ask("range", asked)
        keys = [base64.b64decode(item["key"]).decode() for item in answer.get("kvs", [])]
        return [key for key in keys if namespace in key.split("/")]

    async def _ask(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._session.post(f"{self._address}/v3/kv/{what}", json=body) as answer:
            answer.raise_for_status()
            return dict(await answer.json(content_type=None))


def _ranges(namespace: str, kinds: tuple[str, ...]) -> list[dict[str, str]]:
    spaces = [f"{_ROOT}{kind}/{namespace}/" for kind in kinds]
    named = [f"{_ROOT}{kind}/{namespace}" for kind in _NAMED_SO]
    return [_range(each, _after(each)) for each in spaces] + [_range(each) for each in named]


def _range(key: str, end: str = "") -> dict[str, str]:
    """One key, or all from it to an end."""
    found = {"key": base64.b64encode(key.encode()).decode()}
    return found | ({"range_end": base64.b64encode(end.encode()).decode()} if end else {})


def _after(prefix: str) -> str:
    """The first key behind all that begin with a prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
