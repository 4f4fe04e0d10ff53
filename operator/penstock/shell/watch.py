"""kopf watches; every event becomes keys in the queue and nothing else happens here.

`kopf.on.event` costs no PATCH on the user's objects and keeps nothing of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import kopf

from penstock.api import constants
from penstock.connections import ConnectionKey
from penstock.kube import resources
from penstock.reconcile import JobKey
from penstock.settings import Settings

Key = JobKey | ConnectionKey | str
"""What is worked on: a StreamJob, a SourceConnection, or a CheckpointStore by its name."""
Add = Callable[[Key], None]
_OWNED = (resources.JOBS, resources.DEPLOYMENTS, resources.SERVICES, resources.CONFIG_MAPS, resources.PODS)


class Keys:
    """The handlers: which event has which keys worked on.

    What is remembered is which StreamJob names which store, so that an event of a store reaches its jobs at once;
    without it they would look by themselves, up to 30 seconds later.
    """

    def __init__(self, add: Add) -> None:
        self._add = add
        self._stores: dict[JobKey, str] = {}

    async def stream_job(
        self,
        *,
        namespace: str | None,
        name: str,
        spec: kopf.Spec,
        type: str | None,  # noqa: A002 - kopf's word
        **_: object,
    ) -> None:
        """A StreamJob: itself."""
        key = JobKey(namespace or "", name)
        if type == "DELETED":
            self._stores.pop(key, None)
        else:
            self._stores[key] = (spec.get("checkpoints") or {}).get("store", "")
        self._add(key)

    async def checkpoint(self, *, namespace: str | None, spec: kopf.Spec, **_: object) -> None:
        """A Checkpoint: its job, which need not exist."""
        job = (spec.get("jobRef") or {}).get("name")
        if job:
            self._add(JobKey(namespace or "", job))

    async def store(self, *, name: str, **_: object) -> None:
        """A CheckpointStore: itself, and the jobs that name it."""
        self._add(name)
        for key in [key for key, used in self._stores.items() if used == name]:
            self._add(key)

    async def connection(self, *, name: str, **_: object) -> None:
        """A SourceConnection: itself."""
        self._add(ConnectionKey(name))

    async def owned(self, *, namespace: str | None, labels: kopf.Labels, **_: object) -> None:
        """An object of a run: the job that its label names."""
        job = labels.get(constants.LABEL_JOB)
        if job:
            self._add(JobKey(namespace or "", job))


def registry(add: Add) -> kopf.OperatorRegistry:
    """Handlers that turn events into keys (see `Key`)."""
    found = kopf.OperatorRegistry()
    keys = Keys(add)

    @kopf.on.login(registry=found)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401 - kopf's own keywords, passed on
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    own = (constants.GROUP, constants.VERSION)
    kopf.on.event(*own, constants.STREAMJOBS, registry=found)(keys.stream_job)
    kopf.on.event(*own, constants.CHECKPOINTS, registry=found)(keys.checkpoint)
    kopf.on.event(*own, constants.CHECKPOINT_STORES, registry=found)(keys.store)
    kopf.on.event(*own, constants.SOURCE_CONNECTIONS, registry=found)(keys.connection)
    mine = {constants.LABEL_MANAGED_BY: constants.MANAGED_BY}
    for resource in _OWNED:
        group, _, version = resource.api_version.rpartition("/")
        kopf.on.event(group, version, resource.plural, labels=mine, registry=found, id=resource.plural)(keys.owned)
    return found


def operator_settings(settings: Settings) -> kopf.OperatorSettings:
    """Kopf's settings; each is there for a reason that docs/decisions/0005-libraries.md gives."""
    found = kopf.OperatorSettings()
    found.posting.enabled = False
    found.peering.standalone = True
    found.networking.request_timeout = 30
    found.networking.connect_timeout = 5
    found.watching.server_timeout = 300
    # Watching for namespaces and CRDs needs rights on the whole cluster; where namespaces are listed nothing is gained.
    found.scanning.disabled = bool(settings.watch_namespaces)
    for resource in _OWNED:
        found.watching.label_selectors[resource.plural] = f"{constants.LABEL_MANAGED_BY}={constants.MANAGED_BY}"
    return found


async def watch(add: Add, settings: Settings, stop: asyncio.Event) -> None:
    """Watch until stopped."""
    await kopf.operator(
        registry=registry(add),
        settings=operator_settings(settings),
        standalone=True,
        clusterwide=not settings.watch_namespaces,
        namespaces=settings.watch_namespaces,
        stop_flag=stop,
    )
