"""kopf watches; every event becomes a key in the queue and nothing else happens here.

`kopf.on.event` costs no PATCH on the user's objects and keeps nothing of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import kopf

from penstock.api import constants
from penstock.kube import resources
from penstock.reconcile import JobKey
from penstock.settings import Settings

Add = Callable[[JobKey | str], None]
_OWNED = (resources.JOBS, resources.DEPLOYMENTS, resources.SERVICES, resources.CONFIG_MAPS, resources.PODS)


def registry(add: Add) -> kopf.OperatorRegistry:
    """Handlers that turn events into keys: a JobKey for a StreamJob, a store's name for a CheckpointStore."""
    found = kopf.OperatorRegistry()

    @kopf.on.login(registry=found)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401 - kopf's own keywords, passed on
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(constants.GROUP, constants.VERSION, constants.STREAMJOBS, registry=found)
    async def stream_job(*, namespace: str | None, name: str, **_: object) -> None:
        add(JobKey(namespace or "", name))

    @kopf.on.event(constants.GROUP, constants.VERSION, constants.CHECKPOINTS, registry=found)
    async def checkpoint(*, namespace: str | None, spec: kopf.Spec, **_: object) -> None:
        job = (spec.get("jobRef") or {}).get("name")
        if job:
            add(JobKey(namespace or "", job))

    @kopf.on.event(constants.GROUP, constants.VERSION, constants.CHECKPOINT_STORES, registry=found)
    async def store(*, name: str, **_: object) -> None:
        add(name)

    async def owned(*, namespace: str | None, labels: kopf.Labels, **_: object) -> None:
        job = labels.get(constants.LABEL_JOB)
        if job:
            add(JobKey(namespace or "", job))

    mine = {constants.LABEL_MANAGED_BY: constants.MANAGED_BY}
    for resource in _OWNED:
        group, _, version = resource.api_version.rpartition("/")
        kopf.on.event(group, version, resource.plural, labels=mine, registry=found, id=resource.plural)(owned)
    return found


def operator_settings() -> kopf.OperatorSettings:
    """Kopf's settings; each is there for a reason that docs/decisions/0005-libraries.md gives."""
    found = kopf.OperatorSettings()
    found.posting.enabled = False
    found.peering.standalone = True
    found.networking.request_timeout = 30
    found.networking.connect_timeout = 5
    found.watching.server_timeout = 300
    for resource in _OWNED:
        found.watching.label_selectors[resource.plural] = f"{constants.LABEL_MANAGED_BY}={constants.MANAGED_BY}"
    return found


async def watch(add: Add, settings: Settings, stop: asyncio.Event) -> None:
    """Watch until stopped."""
    await kopf.operator(
        registry=registry(add),
        settings=operator_settings(),
        standalone=True,
        clusterwide=not settings.watch_namespaces,
        namespaces=settings.watch_namespaces,
        liveness_endpoint=f"http://0.0.0.0:{settings.probe_port}/healthz",
        stop_flag=stop,
    )
