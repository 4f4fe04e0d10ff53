"""The one way to the Kubernetes API.

Objects are plain dicts as the API gives them. Errors leave as the vocabulary of `penstock.errors`; a missing object is
None, never an error.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from kubernetes.aio import client as aio
from kubernetes.aio import config as aio_config
from kubernetes.aio.client.exceptions import ApiException

from penstock.errors import Refused, RetryLater, Stale
from penstock.kube.resources import Resource, resource_of

Manifest = dict[str, Any]
FIELD_MANAGER = "penstock"
USER_MANAGER = "kubectl-penstock"
"""Of what a user writes by a command: the operator must not count as its owner."""
_TIMEOUT_SECONDS = 10.0
_NOT_FOUND = 404
_CONFLICT = 409
_GONE = 410
_TOO_MANY = 429
_SERVER_ERROR = 500
_PAGE = 500
_APPLY = "application/apply-patch+yaml; charset=utf-8"
"""With its charset: without it the library writes the body as JSON, whose escapes not all are YAML's."""
_ESCAPE = re.compile(r"\\(?:u(?P<high>d[89ab]..)\\u(?P<low>d[c-f]..)|.)")


async def load_configuration() -> aio.Configuration:
    """Credentials of the pod's service account, or of the kubeconfig when this is no pod."""
    configuration = aio.Configuration()
    try:
        aio_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except aio_config.ConfigException:
        await aio_config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    return configuration


async def load_user_configuration(kubeconfig: str | None, context: str | None) -> aio.Configuration:
    """What kubectl would use: the kubeconfig and the context of it that are named, else the current ones.

    Raises:
        Refused: there is none, or it cannot be used.
    """
    configuration = aio.Configuration()
    try:
        await aio_config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig, context=context, client_configuration=configuration
        )
    except aio_config.ConfigException as error:
        raise Refused(f"kubeconfig: {error}", "KubeconfigInvalid") from None
    return configuration


def user_namespace(kubeconfig: str | None, context: str | None) -> str:
    """The namespace of the context that is named, else of the current one; `default` when it names none.

    Raises:
        Refused: there is no kubeconfig, or it cannot be used.
    """
    try:
        contexts, current = aio_config.list_kube_config_contexts(config_file=kubeconfig)  # type: ignore[no-untyped-call]
    except aio_config.ConfigException as error:
        raise Refused(f"kubeconfig: {error}", "KubeconfigInvalid") from None
    found = next((each for each in contexts if each["name"] == context), current)
    return str(found["context"].get("namespace") or "default")


class Kube:
    """One connection pool to the API server; `manager` is who the fields belong to that it writes."""

    def __init__(self, configuration: aio.Configuration, manager: str = FIELD_MANAGER) -> None:
        self._api = aio.ApiClient(configuration)
        self._manager = manager

    async def close(self) -> None:
        """Close the pool."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest | None:
        """One object, read live (quorum), or None when there is none."""
        return await self._request("GET", resource.path(namespace, name), missing=True)

    async def find(
        self, resource: Resource, namespace: str | None, *, labels: str | None = None, fields: str | None = None
    ) -> list[Manifest]:
        """All objects that match, in pages of 500, read live."""
        return [item async for page in self.pages(resource, namespace, labels=labels, fields=fields) for item in page]

    async def pages(
        self, resource: Resource, namespace: str | None, *, labels: str | None = None, fields: str | None = None
    ) -> AsyncIterator[list[Manifest]]:
        """The same, one page after the other: all of them are of one moment."""
        query: list[tuple[str, str]] = [("limit", str(_PAGE))]
        if labels:
            query.append(("labelSelector", labels))
        if fields:
            query.append(("fieldSelector", fields))
        token = ""
        while True:
            page = [*query, ("continue", token)] if token else query
            answer = await self._request("GET", resource.path(namespace), query=page) or {}
            yield answer.get("items") or []
            token = answer.get("metadata", {}).get("continue", "")
            if not token:
                return

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply under Penstock's field manager; the fields given are taken over from others."""
        resource = resource_of(manifest)
        path = resource.path(manifest["metadata"].get("namespace"), manifest["metadata"]["name"])
        query = [("fieldManager", self._manager), ("force", "true")]
        return await self._written("PATCH", path, _as_yaml(manifest), query, _APPLY)

    async def create(self, manifest: Manifest) -> Manifest | None:
        """Create; None when an object of that name is there already."""
        resource = resource_of(manifest)
        path = resource.path(manifest["metadata"].get("namespace"))
        try:
            return await self._written("POST", path, manifest, [("fieldManager", self._manager)])
        except Stale as error:
            if "AlreadyExists" in str(error):
                return None
            raise

    async def replace_status(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Write the status of an object; its resourceVersion must still be the live one, else `Stale`."""
        path = resource.path(manifest["metadata"].get("namespace"), manifest["metadata"]["name"], "status")
        return await self._written("PUT", path, manifest, [("fieldManager", self._manager)])

    async def replace(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Write an object whole; its resourceVersion must still be the live one, else `Stale`."""
        path = resource.path(manifest["metadata"].get("namespace"), manifest["metadata"]["name"])
        return await self._written("PUT", path, manifest, [("fieldManager", self._manager)])

    async def merge(self, resource: Resource, namespace: str | None, name: str, patch: Manifest) -> Manifest:
        """Merge patch; with `metadata.resourceVersion` in it the write is refused as `Stale` when that is not live."""
        path = resource.path(namespace, name)
        query = [("fieldManager", self._manager)]
        return await self._written("PATCH", path, patch, query, "application/merge-patch+json")

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None, grace: int | None = None
    ) -> bool:
        """Delete (dependents in the background); False when there is none. With `uid`, only that very object."""
        body: Manifest = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        return await self._request("DELETE", resource.path(namespace, name), body, missing=True) is not None

    async def _written(
        self,
        method: str,
        path: str,
        body: Manifest | str,
        query: list[tuple[str, str]],
        content_type: str = "application/json",
    ) -> Manifest:
        answer = await self._request(method, path, body, query=query, content_type=content_type)
        if answer is None:
            msg = f"{method} {path} answered without an object"
            raise RetryLater(msg)
        return answer

    async def _request(
        self,
        method: str,
        path: str,
        body: Manifest | str | None = None,
        *,
        query: list[tuple[str, str]] | None = None,
        content_type: str = "application/json",
        missing: bool = False,
    ) -> Manifest | None:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        request = await self._api.param_serialize(
            method, path, query_params=query or [], header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                answer = await self._api.call_api(*request)
                text = await answer.read()  # type: ignore[no-untyped-call]
        except (aiohttp.ClientError, TimeoutError, OSError, ApiException) as error:
            msg = f"{method} {path}: {type(error).__name__} {error}"
            raise RetryLater(msg) from error
        if answer.status == _NOT_FOUND and missing:
            return None
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's own range of success
            raise _error(method, path, answer.status, text)
        try:
            return dict(json.loads(text)) if text else None
        except (ValueError, TypeError) as error:
            msg = f"{method} {path}: {answer.status} with a body that is not a JSON object"
            raise RetryLater(msg) from error


def _as_yaml(manifest: Manifest) -> str:
    """JSON is YAML, but for the pairs of escapes that it writes for what lies beyond the first plane (an emoji)."""

    def one(found: re.Match[str]) -> str:
        high, low = found["high"], found["low"]
        if high is None:
            return found.group()
        return f"\\U{0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00:08x}"

    return _ESCAPE.sub(one, json.dumps(manifest))


def _error(method: str, path: str, status: int, text: bytes) -> Exception:
    try:
        answer = json.loads(text)
        reason, message = answer.get("reason", ""), answer.get("message", "")
    except (ValueError, AttributeError):
        reason, message = "", text[:300].decode(errors="replace")
    sentence = f"{method} {path}: {status} {reason} {message}".strip()
    if status in (_CONFLICT, _GONE):
        return Stale(sentence)
    if status == _TOO_MANY or status >= _SERVER_ERROR:
        return RetryLater(sentence)
    return Refused(sentence, reason or ("NotFound" if status == _NOT_FOUND else "Refused"), status)
