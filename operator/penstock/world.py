"""The clients that a pass uses, in one value: what observe looks through and act works with."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

from penstock.api import constants
from penstock.api.checkpoint import Checkpoint, Source
from penstock.api.conditions import find_condition
from penstock.api.store import CheckpointStore
from penstock.errors import Refused, RetryLater
from penstock.flink.client import FlinkRest
from penstock.inventory.mark import ANOTHER_CLUSTER
from penstock.inventory.verifier import Verifier
from penstock.kube import resources
from penstock.kube.client import Kube
from penstock.settings import Settings
from penstock.source.looks import Looks
from penstock.source.measurer import Measurer
from penstock.store.client import Access, ObjectStore
from penstock.store.layout import Place


@dataclass
class World:
    """One connection pool each to Kubernetes, to all JobManagers and to each store."""

    settings: Settings
    kube: Kube
    flink: FlinkRest
    verifier: Verifier
    measurer: Measurer
    looks: Looks = field(default_factory=Looks)
    _stores: dict[str, tuple[tuple[str, str, str], ObjectStore]] = field(default_factory=dict)

    def flink_address(self, host: str) -> str:
        """Base URL of a JobManager's REST API."""
        return self.settings.flink_address.format(host=host)

    async def object_store(self, store: CheckpointStore) -> ObjectStore:
        """The client of a store; made anew when the store or its Secret has changed.

        Raises:
            Refused: when the Secret or one of its keys is missing, or the endpoint or the region cannot be one.
            RetryLater: when the API server does not answer.
        """
        access_key, secret_key, version = await credentials_of(self.kube, self.settings.namespace, store)
        # The uid too: a store that is deleted and made again under its name begins with generation 1 again.
        name, known = store.metadata.name, (store.metadata.uid, str(store.metadata.generation), version)
        cached = self._stores.get(name)
        if cached is not None and cached[0] == known:
            return cached[1]
        client = ObjectStore(
            Access(
                place_of(store),
                store.spec.endpoint,
                store.spec.region,
                store.spec.path_style,
                access_key or None,
                secret_key or None,
            )
        )
        self._stores[name] = (known, client)
        return client


async def credentials_of(kube: Kube, namespace: str, store: CheckpointStore) -> tuple[str, str, str]:
    """Access key and secret key of a store's Secret, and its resourceVersion; all empty when the store names none.

    Raises:
        Refused: when the Secret or one of its keys is missing, or may not be read.
        RetryLater: when the API server does not answer.
    """
    if store.spec.credentials is None:
        return "", "", ""
    name = store.spec.credentials.secret_ref.name
    secret = await kube.get(resources.SECRETS, namespace, name)
    if secret is None:
        raise Refused(f"spec.credentials.secretRef.name: no Secret {name} in {namespace}", "SecretNotFound")
    keys = (constants.SECRET_ACCESS_KEY_ID, constants.SECRET_SECRET_ACCESS_KEY)
    access_key, secret_key = (_key(secret, name, key) for key in keys)
    return access_key, secret_key, secret["metadata"]["resourceVersion"]


async def cluster_uid(kube: Kube) -> str:
    """Which cluster this is: the uid of its namespace kube-system."""
    space = await kube.get(resources.NAMESPACES, None, "kube-system")
    if space is None:
        raise RetryLater("there is no namespace kube-system, whose uid says which cluster this is")
    return str(space["metadata"]["uid"])


def place_of(store: CheckpointStore) -> Place:
    """Where a store is."""
    return Place(store.spec.bucket, store.spec.prefix)


def _key(secret: dict[str, dict[str, str]], name: str, key: str) -> str:
    try:
        value = base64.b64decode((secret.get("data") or {}).get(key) or "").decode().strip()
    except ValueError:
        value = ""  # the error of a text that is none would quote it
    if not value:
        msg = f"Secret {name} has no text in key {key}; it needs accessKeyId and secretAccessKey"
        raise Refused(msg, "SecretIncomplete")
    return value


def target_directory(place: Place, checkpoint: Checkpoint) -> str:
    """The key prefix of a Checkpoint's directory, which must be one that Penstock made for this namespace and job.

    Raises:
        Refused: when the status names a place that is not: it is neither read nor deleted.
    """
    return _own("status.targetDirectory", checkpoint.status.target_directory, place, checkpoint, place.savepoint_of)


def retained_directory(place: Place, checkpoint: Checkpoint) -> str:
    """The key prefix of a Retained Checkpoint's own directory, `checkpoints/<run>/chk-N/` of this namespace and job.

    Raises:
        Refused: when the status names a place that is not: it is neither read nor deleted.
    """
    return _own("status.location", checkpoint.status.location, place, checkpoint, place.retained_of)


def own_directory(place: Place, checkpoint: Checkpoint) -> str:
    """The key prefix of what is a Checkpoint's alone, by its source: one of the two above."""
    retained = checkpoint.spec.source is Source.RETAINED
    return retained_directory(place, checkpoint) if retained else target_directory(place, checkpoint)


def _own(
    field: str, uri: str | None, place: Place, checkpoint: Checkpoint, find: Callable[[str, str, str], str | None]
) -> str:
    key = place.key_of(uri or "")
    directory = f"{key}/" if key else ""
    owned = find(directory, checkpoint.metadata.namespace, checkpoint.spec.job_ref.name)
    if owned is None or owned != directory:
        msg = f"{field} {uri or ''} is not a directory of this job in {place.bucket}: it is not touched"
        raise Refused(msg, "PlaceNotOurs")
    return owned


def belongs_to_another(store: CheckpointStore) -> bool:
    """Whether the store's mark names another cluster: then nothing in it is ours to delete."""
    ready = find_condition(store.status.conditions, constants.READY)
    return ready is not None and ready.reason == ANOTHER_CLUSTER
