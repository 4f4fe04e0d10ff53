"""The harness's own way to the API server and to the bucket: as users, Flink and the kubelet, and to look."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import boto3
from botocore.config import Config

from penstock.kube.resources import Resource
from tests.crash.plane import ADMIN, BUCKET, KEYS, Plane, unverified

Manifest = dict[str, Any]
MERGE = "application/merge-patch+json"


class ApiError(Exception):
    """The API server said no to the harness."""


class Api:
    """The API server, as an administrator."""

    def __init__(self, plane: Plane, session: aiohttp.ClientSession) -> None:
        self._root = plane.api
        self._session = session
        self._headers = {"Authorization": f"Bearer {ADMIN}"}

    async def call(
        self, method: str, path: str, body: Manifest | None = None, content_type: str = "application/json"
    ) -> Manifest | None:
        """One request; None when there is no such object."""
        data = None if body is None else json.dumps(body).encode()
        headers = self._headers | ({"Content-Type": content_type} if body is not None else {})
        async with self._session.request(
            method, self._root + path, data=data, headers=headers, ssl=unverified()
        ) as answer:
            text = await answer.read()
            if answer.status == 404:
                return None
            if not answer.ok:
                raise ApiError(f"{method} {path}: {answer.status} {text.decode()[:500]}")
            return dict(json.loads(text))

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest | None:
        """One object."""
        return await self.call("GET", resource.path(namespace, name))

    async def find(self, resource: Resource, namespace: str | None, labels: str = "") -> list[Manifest]:
        """Objects of a kind in a namespace."""
        query = f"?labelSelector={labels}" if labels else ""
        found = await self.call("GET", resource.path(namespace) + query) or {}
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        return [kind | item for item in found.get("items", [])]

    async def create(self, resource: Resource, namespace: str | None, manifest: Manifest) -> Manifest:
        """Create an object."""
        whole = {"apiVersion": resource.api_version, "kind": resource.kind} | manifest
        return await self.call("POST", resource.path(namespace), whole) or {}

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, patch: Manifest, sub: str | None = None
    ) -> Manifest | None:
        """Merge patch."""
        return await self.call("PATCH", resource.path(namespace, name, sub), patch, MERGE)

    async def delete(self, resource: Resource, namespace: str | None, name: str) -> bool:
        """Delete at once; False when there was none."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
        return await self.call("DELETE", resource.path(namespace, name), options) is not None


class Bucket:
    """The bucket, as Flink writes into it."""

    def __init__(self, plane: Plane) -> None:
        self._s3 = boto3.client(
            "s3",
            endpoint_url=plane.s3,
            region_name="us-east-1",
            aws_access_key_id=KEYS[0],
            aws_secret_access_key=KEYS[1],
            config=Config(s3={"addressing_style": "path"}, max_pool_connections=16),
        )

    async def put(self, key: str, data: bytes) -> None:
        """Write an object."""
        await asyncio.to_thread(self._s3.put_object, Bucket=BUCKET, Key=key, Body=data)

    async def get(self, key: str) -> bytes | None:
        """Read an object, None when there is none."""

        def work() -> bytes | None:
            try:
                return bytes(self._s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
            except self._s3.exceptions.NoSuchKey:
                return None

        return await asyncio.to_thread(work)

    async def keys(self, prefix: str) -> dict[str, int]:
        """Keys below a prefix, with their sizes."""

        def work() -> dict[str, int]:
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
            return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}

        return await asyncio.to_thread(work)

    async def delete(self, keys: list[str]) -> None:
        """Delete objects."""
        objects = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        if keys:
            await asyncio.to_thread(self._s3.delete_objects, Bucket=BUCKET, Delete=objects)
