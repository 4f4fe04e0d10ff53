"""The API as these tests use it: answers instead of exceptions."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from kubernetes import client, config

GROUP, VERSION = "penstock.dev", "v1alpha1"
MERGE = "application/merge-patch+json"
PLURALS = {
    "StreamJob": "streamjobs",
    "Checkpoint": "checkpoints",
    "CheckpointStore": "checkpointstores",
    "SourceConnection": "sourceconnections",
}
CLUSTER_SCOPED = ("CheckpointStore", "SourceConnection")


@pytest.fixture(autouse=True)
def alone_with_the_api_server(operator_at_rest: None) -> None:
    """An operator that runs would write into the objects of these tests meanwhile."""


@dataclass(frozen=True)
class Answer:
    """What the API server said: the object, or its message."""

    status: int
    body: dict[str, Any]
    message: str = ""

    @property
    def accepted(self) -> bool:
        return self.status < 300


class Api:
    """Custom objects of one namespace; cluster-scoped ones are deleted at the end of the test."""

    def __init__(self, kubeconfig: str, namespace: str, user: str | None = None) -> None:
        self.namespace = namespace
        self._client = config.new_client_from_config(config_file=kubeconfig)
        if user is not None:
            self._client.set_default_header("Impersonate-User", user)
            self._client.set_default_header("Impersonate-Group", "system:authenticated")
        self._objects = client.CustomObjectsApi(self._client)
        self._cluster_scoped: list[tuple[str, str]] = []

    def _where(self, kind: str) -> tuple[str, dict[str, str]]:
        where = {"group": GROUP, "version": VERSION, "plural": PLURALS[kind]}
        if kind in CLUSTER_SCOPED:
            return "cluster", where
        return "namespaced", where | {"namespace": self.namespace}

    def _call(self, verb: str, kind: str, suffix: str = "", **arguments: Any) -> Answer:
        scope, where = self._where(kind)
        try:
            call = getattr(self._objects, f"{verb}_{scope}_custom_object{suffix}")
            return Answer(200, call(**where, **arguments))
        except client.ApiException as error:
            return Answer(error.status or 0, {}, json.loads(error.body or "{}").get("message", ""))

    def create(self, manifest: dict[str, Any], *, dry_run: bool = False, strict: bool = True) -> Answer:
        whole = {"apiVersion": f"{GROUP}/{VERSION}"} | manifest
        options = {"dry_run": "All"} if dry_run else {}
        options["field_validation"] = "Strict" if strict else "Warn"
        answer = self._call("create", manifest["kind"], body=whole, **options)
        if answer.accepted and not dry_run and manifest["kind"] in CLUSTER_SCOPED:
            self._cluster_scoped.append((manifest["kind"], manifest["metadata"]["name"]))
        return answer

    def get(self, kind: str, name: str) -> Answer:
        return self._call("get", kind, name=name)

    def replace(self, whole: dict[str, Any], *, dry_run: bool = False) -> Answer:
        options = {"dry_run": "All"} if dry_run else {}
        return self._call("replace", whole["kind"], name=whole["metadata"]["name"], body=whole, **options)

    def patch(self, kind: str, name: str, patch: dict[str, Any], *, suffix: str = "", dry_run: bool = False) -> Answer:
        options = {"dry_run": "All"} if dry_run else {}
        return self._call("patch", kind, suffix, name=name, body=patch, _content_type=MERGE, **options)

    def delete(self, kind: str, name: str) -> Answer:
        return self._call("delete", kind, name=name)

    def delete_all(self, kind: str) -> Answer:
        return self._call("delete_collection", kind)

    def close(self) -> None:
        for kind, name in self._cluster_scoped:
            self.delete(kind, name)
        self._client.close()


@pytest.fixture
def api(kubeconfig: str, crds: None, kube_namespace: str) -> Iterator[Api]:  # noqa: ARG001 - asked for its effect
    opened = Api(kubeconfig, kube_namespace)
    yield opened
    opened.close()


@pytest.fixture
def as_user(kubeconfig: str, kube_namespace: str) -> Iterator[Callable[[str], Api]]:
    """The API as somebody else sees it."""
    opened: list[Api] = []

    def impersonate(user: str) -> Api:
        opened.append(Api(kubeconfig, kube_namespace, user))
        return opened[-1]

    yield impersonate
    for each in opened:
        each.close()
