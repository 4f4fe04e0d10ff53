"""Kubernetes events, posted when a status has been written. Losing one harms nothing."""

from __future__ import annotations

import logging

from penstock import clock
from penstock.act.status import target_of
from penstock.api import constants
from penstock.api.base import format_time
from penstock.errors import PenstockError
from penstock.kube.client import Kube
from penstock.model import Note, Observed

log = logging.getLogger(__name__)
_MESSAGE_LIMIT = 1000
_NAME_LIMIT = 200
"""Of the object's name, which may have 253 characters itself, in the event's name."""


async def post(kube: Kube, observed: Observed, notes: tuple[Note, ...]) -> None:
    """Post the events of a step."""
    for number, note in enumerate(notes):
        target = target_of(observed, "" if note.kind == "StreamJob" else note.name)
        if target is None:
            continue
        meta, now = target.metadata, clock.now()
        log.info("%s %s/%s: %s: %s", note.kind, meta.namespace, meta.name, note.reason, note.message)
        # The number, because two events of a step may be posted in the same millisecond.
        name = f"{meta.name[:_NAME_LIMIT]}-{now.timestamp():.3f}-{number}".replace(".", "-")
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": meta.namespace},
            "involvedObject": {
                "apiVersion": constants.API_VERSION,
                "kind": note.kind,
                "namespace": meta.namespace,
                "name": meta.name,
                "uid": meta.uid,
            },
            "type": note.type,
            "reason": note.reason,
            "message": note.message[:_MESSAGE_LIMIT],
            "source": {"component": constants.MANAGED_BY},
            "firstTimestamp": format_time(now),
            "lastTimestamp": format_time(now),
            "count": 1,
        }
        try:
            await kube.create(event)
        except PenstockError as error:
            log.warning("event not posted: %s", error)
