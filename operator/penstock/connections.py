"""The reconcile of a SourceConnection: does the broker answer?"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock import clock
from penstock.api import constants
from penstock.api.base import dump
from penstock.api.conditions import Condition, ConditionStatus, find_condition, set_condition
from penstock.api.reading import read
from penstock.api.source import SourceConnection, SourceConnectionStatus
from penstock.brokers import Connect, access_of, open_kafka
from penstock.errors import Refused, RetryLater
from penstock.kube import resources
from penstock.kube.client import Kube
from penstock.readiness import still_ready
from penstock.source.answers import Cluster
from penstock.world import World

log = logging.getLogger(__name__)
READY_SECONDS = 60.0
TROUBLE_SECONDS = 15.0
"""A broker that refuses a password may count how often."""
_CHECKED_EVERY = timedelta(minutes=10)
"""How old `lastChecked` may become: written at every look it would be a write a minute for each connection."""
_SILENT = "NotAnswering"


@dataclass(frozen=True)
class ConnectionKey:
    """A SourceConnection that is to be looked at."""

    name: str

    def __str__(self) -> str:
        """As it stands in the log."""
        return f"SourceConnection {self.name}"


async def reconcile_connection(world: World, name: str, connect: Connect = open_kafka) -> float | None:
    """One look at a connection; returns the seconds until the next one, None when it is gone or going."""
    stored = await world.kube.get(resources.SOURCE_CONNECTIONS, None, name)
    if stored is None:
        return None
    connection, problems = read(SourceConnection, stored)
    if connection is None:
        log.warning("SourceConnection %s: %s", name, "; ".join(map(str, problems)))
        return None
    if connection.metadata.terminating:
        return None
    try:
        cluster = await _ask(world, connection, connect)
    except Refused as error:
        said = _not_usable(connection, error.reason, str(error))
        await _write(world.kube, connection, clock.now(), said)
        return TROUBLE_SECONDS
    except RetryLater as error:
        now = clock.now()
        await _write(world.kube, connection, now, _not_answering(connection, now, str(error)))
        return TROUBLE_SECONDS
    status = connection.status.model_copy(update={"cluster_id": cluster.id, "brokers": cluster.brokers})
    await _write(world.kube, connection, clock.now(), _answers(connection), status)
    return READY_SECONDS


async def _ask(world: World, connection: SourceConnection, connect: Connect) -> Cluster:
    access = await access_of(world.kube, world.settings.namespace, connection)
    async with connect(access) as kafka:
        return await kafka.cluster()


# ---------------------------------------------------------------- what is said


def _answers(connection: SourceConnection) -> tuple[Condition, ...]:
    said = ("Answers", "the broker answers")
    return (
        _is(connection, constants.READY, "True", *said),
        _is(connection, constants.RECONCILING, "False", *said),
        _is(connection, constants.STALLED, "False", *said),
    )


def _not_usable(connection: SourceConnection, reason: str, message: str) -> tuple[Condition, ...]:
    """Somebody must change something."""
    said = (reason, message)
    return (
        _is(connection, constants.READY, "False", *said),
        _is(connection, constants.RECONCILING, "False", *said),
        _is(connection, constants.STALLED, "True", *said),
    )


def _not_answering(connection: SourceConnection, now: datetime, message: str) -> tuple[Condition, ...]:
    """Nobody knows: what was Ready stays so for a while, and then is Unknown, but not False."""
    said = (_SILENT, _told_before(connection, now) or message)
    conditions, generation = connection.status.conditions, connection.metadata.generation
    ready = still_ready(conditions, generation, now) or _is(connection, constants.READY, "Unknown", *said)
    return (
        ready,
        _is(connection, constants.RECONCILING, "True", *said),
        _is(connection, constants.STALLED, "False", *said),
    )


def _told_before(connection: SourceConnection, now: datetime) -> str | None:
    """What was told of this silence not long ago.

    Of several brokers sometimes one and sometimes another is told of: that alone is not worth a write.
    """
    told = find_condition(connection.status.conditions, constants.RECONCILING)
    if told is None or (told.status, told.reason) != ("True", _SILENT):
        return None
    current = told.observed_generation == connection.metadata.generation
    return told.message if current and _is_fresh(connection, now) else None


def _is(connection: SourceConnection, kind: str, status: ConditionStatus, reason: str, message: str) -> Condition:
    generation = connection.metadata.generation
    return Condition(type=kind, status=status, reason=reason, message=message, observed_generation=generation)


# ---------------------------------------------------------------- writing


async def _write(
    kube: Kube,
    connection: SourceConnection,
    now: datetime,
    said: tuple[Condition, ...],
    status: SourceConnectionStatus | None = None,
) -> None:
    """Write the status if it says anything new, or if `lastChecked` has become too old."""
    old = connection.status
    conditions = old.conditions
    for condition in said:
        conditions = set_condition(conditions, condition, now)
    new = (status or old).model_copy(update={"conditions": conditions})
    new = new.model_copy(update={"observed_generation": connection.metadata.generation})
    if _is_fresh(connection, now) and dump(new) == dump(old):
        return
    new = new.model_copy(update={"last_checked": now.replace(microsecond=0)})
    meta = connection.metadata
    await kube.replace_status(
        resources.SOURCE_CONNECTIONS,
        {
            "apiVersion": constants.API_VERSION,
            "kind": "SourceConnection",
            "metadata": {"name": meta.name, "uid": meta.uid, "resourceVersion": meta.resource_version},
            "spec": dump(connection.spec),
            "status": dump(new),
        },
    )


def _is_fresh(connection: SourceConnection, now: datetime) -> bool:
    checked = connection.status.last_checked
    return checked is not None and now - checked < _CHECKED_EVERY
