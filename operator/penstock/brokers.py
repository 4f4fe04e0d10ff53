"""From a SourceConnection to a client of its broker."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from penstock import clock
from penstock.api import constants
from penstock.api.reading import read
from penstock.api.source import Sasl, SourceConnection, Tls
from penstock.errors import Refused
from penstock.kube import resources
from penstock.kube.client import Kube, Manifest
from penstock.source.access import Access, Login
from penstock.source.answers import Measured, Topic
from penstock.source.held import SourceWish

if TYPE_CHECKING:
    from penstock.source.kafka import Kafka

Connect = Callable[[Access], AbstractAsyncContextManager["Kafka"]]
"""How a client is opened: `open_kafka`, or what stands for it in a test."""
SHARES = (80, 90, 95)
"""Percent of a topic's retention at which a record is old, older and nearly gone."""


async def measure(kube: Kube, namespace: str, wish: SourceWish, connect: Connect | None = None) -> Measured:
    """What the topics of a wish hold; `namespace` is the operator's.

    Raises:
        Refused: there is no such SourceConnection, it is not for the job's namespace, or it cannot be used.
        RetryLater: the API server or the broker does not answer.
    """
    stored = await kube.get(resources.SOURCE_CONNECTIONS, None, wish.connection)
    if stored is None:
        raise Refused(f"connection: there is no SourceConnection {wish.connection}", "SourceNotUsable")
    connection, problems = read(SourceConnection, stored)
    if connection is None:
        why = "; ".join(map(str, problems))
        raise Refused(f"connection: SourceConnection {wish.connection} cannot be read: {why}", constants.UNREADABLE)
    if not connection.spec.allowed_namespaces.allows(wish.namespace):
        allowed = "its spec.allowedNamespaces"
        raise Refused(f"connection: {wish.connection} is not for namespace {wish.namespace} ({allowed})", "NotAllowed")
    async with (connect or open_kafka)(await access_of(kube, namespace, connection)) as kafka:
        if wish.followed:
            return await kafka.bounds(wish.topics)
        found = await kafka.measure(wish.topics)
        offsets = {millis: await kafka.offsets_at(found.topics, millis) for millis in wish.times}
        younger = await _younger(kafka, found) if wish.watched else {}
        return replace(found, offsets=offsets, younger=younger)


async def _younger(kafka: Kafka, measured: Measured) -> dict[int, dict[tuple[str, int], int]]:
    """From which offset on the records are younger than some shares of the retention.

    Reckoned by the operator's clock: one that is wrong warns too early or too late, and decides nothing.
    """
    now = int(clock.now().timestamp() * 1000)
    by_limit: dict[int, list[Topic]] = {}
    for topic in measured.topics:
        if topic.keeps_millis is not None:
            by_limit.setdefault(topic.keeps_millis, []).append(topic)
    found: dict[int, dict[tuple[str, int], int]] = {share: {} for share in SHARES}
    for limit, topics in by_limit.items():
        for share in SHARES:
            found[share] |= await kafka.offsets_at(topics, now - limit * share // 100)
    return found


@asynccontextmanager
async def open_kafka(access: Access) -> AsyncIterator[Kafka]:
    """A client for a few calls, to be used in an `async with`.

    Raises:
        Refused: when nothing can be opened with these settings.
    """
    client = await asyncio.to_thread(_library)
    async with client(access) as kafka:
        yield kafka


def _library() -> type[Kafka]:
    # 6 MB of memory and some tenths of a second, which only a cluster with a SourceConnection is to pay.
    from penstock.source.kafka import Kafka  # noqa: PLC0415

    return Kafka


async def access_of(kube: Kube, namespace: str, connection: SourceConnection) -> Access:
    """How to reach the broker of a connection, with what its Secrets in this namespace (the operator's) hold.

    Raises:
        Refused: when a Secret or one of its keys is missing, or may not be read.
        RetryLater: when the API server does not answer.
    """
    kafka = connection.spec.kafka
    tls, sasl = kafka.security.tls, kafka.security.sasl
    return Access(
        servers=kafka.bootstrap_servers,
        tls=tls is not None,
        authorities=await _authorities(kube, namespace, tls) if tls else None,
        login=await _login(kube, namespace, sasl) if sasl else None,
    )


async def _authorities(kube: Kube, namespace: str, tls: Tls) -> str | None:
    if tls.ca_secret_ref is None:
        return None
    name = tls.ca_secret_ref.name
    secret = await _secret(kube, namespace, "spec.kafka.security.tls.caSecretRef.name", name)
    return _text(secret, name, tls.ca_key, f"the certificates (PEM) in {tls.ca_key}")


async def _login(kube: Kube, namespace: str, sasl: Sasl) -> Login:
    name = sasl.secret_ref.name
    secret = await _secret(kube, namespace, "spec.kafka.security.sasl.secretRef.name", name)
    keys = (constants.SECRET_USERNAME, constants.SECRET_PASSWORD)
    username, password = (_text(secret, name, key, " and ".join(keys)) for key in keys)
    return Login(sasl.mechanism.value, username, password)


async def _secret(kube: Kube, namespace: str, field: str, name: str) -> Manifest:
    secret = await kube.get(resources.SECRETS, namespace, name)
    if secret is None:
        raise Refused(f"{field}: no Secret {name} in {namespace}", "SecretNotFound")
    return secret


def _text(secret: Manifest, name: str, key: str, needed: str) -> str:
    try:
        value = base64.b64decode((secret.get("data") or {}).get(key) or "").decode().strip()
    except ValueError:
        value = ""  # the error of a text that is none would quote it
    if not value:
        raise Refused(f"Secret {name} has no text in key {key}; it needs {needed}", "SecretIncomplete")
    return value
