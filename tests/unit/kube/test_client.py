"""The Kubernetes client against a small real HTTP server: what is asked, and what each answer becomes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio import client as aio

from penstock.errors import Refused, RetryLater, Stale
from penstock.kube import client as module
from penstock.kube import resources
from penstock.kube.client import Kube
from penstock.kube.resources import ALL, resource_of

JOB = {"apiVersion": "penstock.dev/v1alpha1", "kind": "StreamJob", "metadata": {"name": "a", "namespace": "n"}}
PATH = "/apis/penstock.dev/v1alpha1/namespaces/n/streamjobs"


class Api:
    """Answers with what stands first in line; what was asked is kept."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, str, Any, str]] = []
        self.kube: Kube

    async def answer(self, request: web.Request) -> web.StreamResponse:
        kind = request.headers.get("Content-Type", "")
        text = await request.text() if request.can_read_body else "null"
        body = yaml.safe_load(text) if "yaml" in kind else json.loads(text)
        self.asked.append((request.method, request.path_qs, body, kind))
        status, content = self.answers.pop(0) if self.answers else (200, {})
        if isinstance(content, str):
            return web.Response(status=status, text=content)
        return web.json_response(content, status=status)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    made, app = Api(), web.Application()
    app.router.add_route("*", "/{tail:.*}", made.answer)
    async with TestServer(app) as server:
        configuration = aio.Configuration()
        configuration.host = str(server.make_url("")).rstrip("/")
        made.kube = Kube(configuration)
        yield made
        await made.kube.close()


def problem(status: int, reason: str) -> tuple[int, Any]:
    told = {"kind": "Status", "status": "Failure", "reason": reason, "message": f"it is {reason}", "code": status}
    return status, told


async def test_one_object(api):
    api.answers = [(200, JOB)]
    assert await api.kube.get(resources.STREAM_JOBS, "n", "a") == JOB
    assert api.asked[0][:2] == ("GET", f"{PATH}/a")


async def test_a_missing_object_is_none(api):
    api.answers = [problem(404, "NotFound"), problem(404, "NotFound")]
    assert await api.kube.get(resources.STREAM_JOBS, "n", "a") is None
    assert await api.kube.delete(resources.STREAM_JOBS, "n", "a") is False


async def test_a_kind_that_the_api_server_does_not_know(api):
    api.answers = [(404, "404 page not found\n")]  # in its own words, not as a Status
    with pytest.raises(Refused) as caught:
        await api.kube.find(resources.STREAM_JOBS, "n")
    assert caught.value.reason == "NotFound"


async def test_all_pages(api):
    api.answers = [
        (200, {"metadata": {"continue": "more"}, "items": [{"a": 1}]}),
        (200, {"metadata": {}, "items": [{"a": 2}]}),
    ]
    assert await api.kube.find(resources.PODS, "n", labels="x=y", fields="a.b=c") == [{"a": 1}, {"a": 2}]
    assert api.asked[0][1] == "/api/v1/namespaces/n/pods?limit=500&labelSelector=x%3Dy&fieldSelector=a.b%3Dc"
    assert api.asked[1][1].endswith("&continue=more")


async def test_a_server_side_apply(api):
    api.answers = [(200, JOB)]
    await api.kube.apply(JOB)
    method, path, body, kind = api.asked[0]
    assert (method, path) == ("PATCH", f"{PATH}/a?fieldManager=penstock&force=true")
    assert (body, kind) == (JOB, "application/apply-patch+yaml; charset=utf-8")


async def test_what_is_there_already_is_no_error_for_a_create(api):
    api.answers = [problem(409, "AlreadyExists"), problem(409, "Conflict")]
    assert await api.kube.create(JOB) is None
    with pytest.raises(Stale):
        await api.kube.create(JOB)


async def test_a_status_is_written_onto_what_was_read(api):
    api.answers = [(200, JOB)]
    await api.kube.replace_status(resources.STREAM_JOBS, JOB)
    assert api.asked[0][:2] == ("PUT", f"{PATH}/a/status?fieldManager=penstock")


async def test_a_merge_patch(api):
    await api.kube.merge(resources.STREAM_JOBS, "n", "a", {"metadata": {"finalizers": []}})
    assert api.asked[0][3] == "application/merge-patch+json"


async def test_only_that_very_object_is_deleted(api):
    await api.kube.delete(resources.PODS, "n", "a", uid="u", grace=0)
    body = api.asked[0][2]
    assert body["preconditions"] == {"uid": "u"}
    assert (body["propagationPolicy"], body["gracePeriodSeconds"]) == ("Background", 0)


ERRORS: list[tuple[int, str, type[Exception]]] = [
    (409, "Conflict", Stale),
    (410, "Expired", Stale),
    (429, "TooManyRequests", RetryLater),
    (500, "InternalError", RetryLater),
    (503, "ServiceUnavailable", RetryLater),
    (504, "Timeout", RetryLater),
    (400, "BadRequest", Refused),
    (401, "Unauthorized", Refused),
    (403, "Forbidden", Refused),
    (422, "Invalid", Refused),
]


@pytest.mark.parametrize(("status", "reason", "error"), ERRORS, ids=[reason for _, reason, _ in ERRORS])
async def test_what_each_answer_becomes(api, status, reason, error):
    calls = [
        lambda: api.kube.get(resources.STREAM_JOBS, "n", "a"),
        lambda: api.kube.find(resources.STREAM_JOBS, "n"),
        lambda: api.kube.apply(JOB),
        lambda: api.kube.replace_status(resources.STREAM_JOBS, JOB),
        lambda: api.kube.merge(resources.STREAM_JOBS, "n", "a", {}),
        lambda: api.kube.delete(resources.STREAM_JOBS, "n", "a"),
    ]
    api.answers = [problem(status, reason)] * len(calls)
    for call in calls:
        with pytest.raises(error, match=reason) as raised:
            await call()
        if isinstance(raised.value, Refused):
            assert (raised.value.reason, raised.value.status) == (reason, status)


async def test_a_write_to_what_is_gone_is_refused(api):
    api.answers = [problem(404, "NotFound")]
    with pytest.raises(Refused):
        await api.kube.replace_status(resources.STREAM_JOBS, JOB)


async def test_a_page_of_a_proxy_is_an_error_too(api):
    api.answers = [(502, "<html>bad gateway</html>")]
    with pytest.raises(RetryLater, match="502"):
        await api.kube.get(resources.STREAM_JOBS, "n", "a")


async def test_a_success_that_is_no_json_is_unknown(api):
    api.answers = [(200, "<html>please sign in</html>")]
    with pytest.raises(RetryLater):
        await api.kube.get(resources.STREAM_JOBS, "n", "a")


async def test_nobody_listens():
    configuration = aio.Configuration()
    configuration.host = "http://127.0.0.1:1"
    kube = Kube(configuration)
    try:
        with pytest.raises(RetryLater):
            await kube.get(resources.STREAM_JOBS, "n", "a")
    finally:
        await kube.close()


async def test_a_time_out_is_unknown(api, monkeypatch):
    monkeypatch.setattr(module, "_TIMEOUT_SECONDS", 0.0)
    with pytest.raises(RetryLater):
        await api.kube.get(resources.STREAM_JOBS, "n", "a")


PATHS = {
    resources.NAMESPACES: "/api/v1/namespaces/x",
    resources.CONFIG_MAPS: "/api/v1/namespaces/n/configmaps/x",
    resources.STORES: "/apis/penstock.dev/v1alpha1/checkpointstores/x",
    resources.JOBS: "/apis/batch/v1/namespaces/n/jobs/x",
    resources.CRDS: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/x",
}


@pytest.mark.parametrize(("resource", "path"), PATHS.items(), ids=lambda each: getattr(each, "plural", ""))
def test_where_objects_are(resource, path):
    assert resource.path("n", "x") == path


@pytest.mark.parametrize("resource", ALL, ids=lambda each: each.plural)
def test_a_manifest_names_its_resource(resource):
    assert resource_of({"apiVersion": resource.api_version, "kind": resource.kind}) is resource


def test_a_kind_that_is_not_listed_is_not_touched():
    with pytest.raises(KeyError):
        resource_of({"apiVersion": "v1", "kind": "Node"})


@pytest.mark.parametrize(
    "text",
    ["plain", "größe 名称", "🙂 it's 🏴", "\\ud83d\\ude42", "\\\\🙂", "\u2028\x01\x7f\ufeff\x85", '"\\n\n\t'],
    ids=ascii,
)
async def test_what_is_applied_is_yaml_whatever_stands_in_it(api, text):
    """Seen: an emoji in a comment of a script, and no object of the run could be made, ever."""
    await api.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {text: text}})
    (_, _, body, kind) = api.asked[0]
    assert kind.startswith("application/apply-patch+yaml")
    assert body["data"] == {text: text}
