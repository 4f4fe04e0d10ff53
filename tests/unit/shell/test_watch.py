"""Which event has which keys worked on: kopf itself, against a small HTTP server that speaks the Kubernetes API."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from penstock.api import constants
from penstock.connections import ConnectionKey
from penstock.kube import resources
from penstock.kube.resources import Resource
from penstock.reconcile import JobKey
from penstock.settings import Settings
from penstock.shell.watch import Key, watch

Keys = list[Key]
SERVED = (
    resources.STREAM_JOBS,
    resources.CHECKPOINTS,
    resources.STORES,
    resources.SOURCE_CONNECTIONS,
    resources.NAMESPACES,
    resources.PODS,
    resources.SERVICES,
    resources.CONFIG_MAPS,
    resources.JOBS,
    resources.DEPLOYMENTS,
    resources.CRDS,
)
WATCHED = {each.plural for each in SERVED} - {"namespaces", "customresourcedefinitions"}


class Api:
    """Discovery, empty lists, and watches that send what a test puts in; the paths that were watched are kept."""

    def __init__(self) -> None:
        self.streams: dict[str, asyncio.Queue[dict[str, Any]]] = {each.plural: asyncio.Queue() for each in SERVED}
        self.watched: dict[str, str] = {}
        self.asked: set[str] = set()
        self.closing = asyncio.Event()
        self._version = 0

    def put(self, resource: Resource, name: str, event: str = "ADDED", **more: Any) -> None:
        """An event; `more` is added to the object."""
        self._version += 1
        meta = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(self._version)}
        meta |= ({"namespace": "flights"} if resource.namespaced else {}) | more.pop("metadata", {})
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}
        self.streams[resource.plural].put_nowait({"type": event, "object": body | more})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.strip("/")
        self.asked.add(path)
        if path == "api":
            return web.json_response({"versions": ["v1"]})
        if path == "apis":
            return web.json_response({"groups": [_group(each) for each in sorted(_versions()) if each != "v1"]})
        version = path.split("/", 1)[1]
        if version in _versions():
            return web.json_response(
                {"resources": [_described(each) for each in SERVED if each.api_version == version]}
            )
        plural = path.rsplit("/", 1)[-1]
        if request.query.get("watch") != "true":
            return web.json_response({"items": [], "metadata": {"resourceVersion": "1"}})
        self.watched[plural] = path + "?" + request.query.get("labelSelector", "")
        return await self._stream(request, self.streams[plural])

    async def _stream(self, request: web.Request, events: asyncio.Queue[dict[str, Any]]) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        closing = asyncio.ensure_future(self.closing.wait())
        while not self.closing.is_set():
            event = asyncio.ensure_future(events.get())
            await asyncio.wait({event, closing}, return_when=asyncio.FIRST_COMPLETED)
            if event.done():
                await response.write(json.dumps(event.result()).encode() + b"\n")
            else:
                event.cancel()
        return response


def _versions() -> set[str]:
    return {each.api_version for each in SERVED}


def _group(version: str) -> dict[str, Any]:
    name, number = version.split("/")
    return {"name": name, "versions": [{"version": number}], "preferredVersion": {"version": number}}


def _described(resource: Resource) -> dict[str, Any]:
    verbs = ["get", "list", "watch", "patch"]
    about = {"singularName": resource.kind.lower(), "namespaced": resource.namespaced, "verbs": verbs}
    return {"name": resource.plural, "kind": resource.kind} | about


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


Watching = Callable[..., Any]


@pytest.fixture
def watching(tmp_path, monkeypatch) -> Watching:
    """`async with watching() as (api, seen)`: kopf watches; `seen` collects what it puts into the queue."""

    @asynccontextmanager
    async def begin(*namespaces: str) -> AsyncIterator[tuple[Api, Keys]]:
        api, seen, stop, app = Api(), Keys(), asyncio.Event(), web.Application()
        app.router.add_route("*", "/{tail:.*}", api.answer)
        async with TestServer(app) as server:
            config = tmp_path / "config"
            config.write_text(yaml.safe_dump(_kubeconfig(str(server.make_url("")))), encoding="utf-8")
            monkeypatch.setenv("KUBECONFIG", str(config))
            settings = replace(Settings(), watch_namespaces=namespaces, probe_port=_free_port())
            task = asyncio.create_task(watch(seen.append, settings, stop))
            try:
                await until(lambda: api.watched.keys() >= WATCHED)
                yield api, seen
            finally:
                stop.set()
                api.closing.set()
                await task

    return begin


def _kubeconfig(server: str) -> dict[str, Any]:
    return {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": {}}],
    }


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)


async def keys(seen: Keys, *expected: Key) -> None:
    """Wait for these keys, in any order, and no others."""
    await until(lambda: len(seen) >= len(expected))
    assert sorted(map(str, seen)) == sorted(map(str, expected))
    seen.clear()


def of_job(name: str, by: str = constants.MANAGED_BY) -> dict[str, Any]:
    return {"metadata": {"labels": {constants.LABEL_MANAGED_BY: by, constants.LABEL_JOB: name}}}


FLIGHTS, OTHER = JobKey("flights", "flights"), JobKey("flights", "other")


async def test_a_stream_job_and_a_checkpoint_bring_up_the_job(watching):
    async with watching() as (api, seen):
        for event in ("ADDED", "MODIFIED", "DELETED"):
            api.put(resources.STREAM_JOBS, "flights", event)
            await keys(seen, FLIGHTS)
            api.put(resources.CHECKPOINTS, "before", event, spec={"jobRef": {"name": "other"}})
            await keys(seen, OTHER)


async def test_a_checkpoint_that_names_no_job_brings_up_nothing(watching):
    async with watching() as (api, seen):
        api.put(resources.CHECKPOINTS, "strange", spec={})
        api.put(resources.CHECKPOINTS, "before", spec={"jobRef": {"name": "flights"}})
        await keys(seen, FLIGHTS)


async def test_the_objects_of_a_run_bring_up_its_job_by_their_label(watching):
    async with watching() as (api, seen):
        for resource in (
            resources.PODS,
            resources.JOBS,
            resources.DEPLOYMENTS,
            resources.SERVICES,
            resources.CONFIG_MAPS,
        ):
            for event in ("ADDED", "MODIFIED", "DELETED"):
                api.put(resource, "strangers", event, **of_job("flights", by="helm"))
                api.put(resource, "without-a-job", event, metadata={"labels": {constants.LABEL_MANAGED_BY: "penstock"}})
                api.put(resource, "flights-aaaaaaaa", event, **of_job("flights"))
                await keys(seen, FLIGHTS)


async def test_a_store_brings_up_itself_and_the_jobs_that_name_it(watching):
    async with watching() as (api, seen):
        api.put(resources.STREAM_JOBS, "flights", spec={"checkpoints": {"store": "main"}})
        api.put(resources.STREAM_JOBS, "other", spec={"checkpoints": {"store": "another"}})
        await keys(seen, FLIGHTS, OTHER)
        for event in ("ADDED", "MODIFIED", "DELETED"):
            api.put(resources.STORES, "main", event)
            await keys(seen, "main", FLIGHTS)
        api.put(resources.STREAM_JOBS, "flights", "DELETED", spec={"checkpoints": {"store": "main"}})
        await keys(seen, FLIGHTS)
        api.put(resources.STORES, "main")
        await keys(seen, "main")


async def test_a_connection_brings_up_itself_and_no_store_of_its_name(watching):
    async with watching() as (api, seen):
        for event in ("ADDED", "MODIFIED", "DELETED"):
            api.put(resources.SOURCE_CONNECTIONS, "main", event)
            await until(lambda: bool(seen))
            assert seen == [ConnectionKey("main")]
            seen.clear()


async def test_the_whole_cluster_is_watched_by_default(watching):
    async with watching() as (api, _):
        assert api.watched["streamjobs"] == "apis/penstock.dev/v1alpha1/streamjobs?"
        assert api.watched["pods"] == "api/v1/pods?app.kubernetes.io/managed-by=penstock"
        assert "api/v1/namespaces" not in api.asked  # there is no right to list them


async def test_with_namespaces_listed_only_what_has_none_is_watched_in_the_whole_cluster(watching):
    """No right on the whole cluster is needed but those on CheckpointStores and SourceConnections."""
    async with watching("flights") as (api, seen):
        for plural in ("checkpointstores", "sourceconnections"):
            assert api.watched.pop(plural) == f"apis/penstock.dev/v1alpha1/{plural}?"
        assert [path for path in api.watched.values() if "/namespaces/flights/" not in path] == []
        api.put(resources.STREAM_JOBS, "flights")
        await keys(seen, FLIGHTS)
        assert not api.asked & {"api/v1/namespaces", "apis/apiextensions.k8s.io/v1/customresourcedefinitions"}
