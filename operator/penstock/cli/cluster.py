"""Kubernetes as the user sees it, and the stores that its CheckpointStores name. Imported late: it needs boto3."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from penstock.api.reading import read
from penstock.api.store import CheckpointStore
from penstock.cli.remote import Login, Remote
from penstock.errors import Refused, RetryLater
from penstock.inventory.mark import read_mark
from penstock.kube import resources
from penstock.kube.client import USER_MANAGER, Kube, load_user_configuration
from penstock.store.client import Access, ObjectStore
from penstock.world import cluster_uid, credentials_of, place_of

_FORBIDDEN = 403


@dataclass(frozen=True)
class Cluster:
    """A connection with the user's own rights.

    Attributes:
        kube: the API server.
        uid: which cluster this is.
        login: how it was reached.
    """

    kube: Kube
    uid: str
    login: Login

    async def checkpoint_store(self, name: str) -> CheckpointStore:
        """A CheckpointStore.

        Raises:
            Refused: there is none of that name, or it cannot be read.
        """
        stored = await self.kube.get(resources.STORES, None, name)
        if stored is None:
            raise Refused(f"there is no CheckpointStore {name}", "NotFound")
        found, problems = read(CheckpointStore, stored)
        if found is None:
            raise Refused(f"CheckpointStore {name}: {'; '.join(map(str, problems))}", "Unreadable")
        return found

    async def open(self, store: CheckpointStore, remote: Remote) -> ObjectStore:
        """The object store behind it, with the keys of its Secret, or with those of the user's profile.

        Raises:
            Refused: the Secret is missing or may not be read, or the store cannot be one.
            RetryLater: the store does not answer.
        """
        access_key = secret_key = ""
        if remote.profile is None:
            try:
                access_key, secret_key, _ = await credentials_of(self.kube, self.login.operator_namespace, store)
            except Refused as error:
                if error.status != _FORBIDDEN:
                    raise
                raise Refused(f"{error}: name a profile of the AWS configuration (--profile)", error.reason) from None
        spec = store.spec
        client = ObjectStore(
            Access(
                place_of(store),
                remote.endpoint or spec.endpoint,
                remote.region or spec.region,
                spec.path_style if remote.path_style is None else remote.path_style,
                access_key or None,
                secret_key or None,
                remote.profile,
            )
        )
        try:
            await read_mark(client)
        except RetryLater as error:
            if remote.endpoint is not None or spec.endpoint is None:
                raise
            raise RetryLater(f"{error}: if {spec.endpoint} is not reached from here, give --endpoint") from None
        return client


@asynccontextmanager
async def connect(login: Login) -> AsyncIterator[Cluster]:
    """Reach Kubernetes.

    Raises:
        Refused: the kubeconfig or the rights do not suffice.
        RetryLater: the API server does not answer.
    """
    # What it has to say about a missing file is in the error.
    logging.getLogger("kubernetes").addHandler(logging.NullHandler())
    kube = Kube(await load_user_configuration(login.kubeconfig, login.context), USER_MANAGER)
    try:
        yield Cluster(kube, await cluster_uid(kube), login)
    finally:
        await kube.close()
