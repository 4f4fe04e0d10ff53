"""From a SourceConnection and its Secrets to how its broker is reached."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from penstock import clock
from penstock.api.source import SourceConnection
from penstock.brokers import access_of, measure, open_kafka
from penstock.errors import Refused, RetryLater
from penstock.source.access import Access, Login
from penstock.source.answers import Measured, Partition, Topic
from penstock.source.held import SourceWish
from tests.unit.builders import NAMESPACE, connection_manifest
from tests.unit.fakes import FakeKube, Manifest

OWN = "penstock-system"
LOGIN = {"username": "me", "password": "not-to-be-seen"}
SASL = {"mechanism": "SCRAM-SHA-512", "secretRef": {"name": "login"}}
TLS = {"caSecretRef": {"name": "authority"}}


def secret(name: str, data: dict[str, str | bytes], namespace: str = OWN) -> Manifest:
    encoded = {
        key: base64.b64encode(each if isinstance(each, bytes) else each.encode()).decode() for key, each in data.items()
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": encoded}


async def access(kube: FakeKube, **security: Any) -> Access:
    connection = SourceConnection.model_validate(connection_manifest(security=security))
    api: Any = kube
    return await access_of(api, OWN, connection)


async def test_without_security_no_secret_is_read():
    kube = FakeKube()
    assert await access(kube) == Access(("kafka-0.kafka.svc:9092",))
    assert kube.calls == []


async def test_with_tls_alone_the_machine_says_whom_to_trust():
    kube = FakeKube()
    assert await access(kube, tls={}) == Access(("kafka-0.kafka.svc:9092",), tls=True)
    assert kube.calls == []


@pytest.mark.parametrize("key", ["ca.crt", "root.pem"])
async def test_authorities(key):
    found = await access(FakeKube(secret("authority", {key: "PEM\n"})), tls=TLS | {"caKey": key})
    assert (found.tls, found.authorities) == (True, "PEM")


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_a_login(mechanism):
    found = await access(FakeKube(secret("login", dict(LOGIN))), sasl=SASL | {"mechanism": mechanism})
    assert found.login == Login(mechanism, "me", "not-to-be-seen")


@pytest.mark.parametrize("security", [{"sasl": SASL}, {"tls": TLS}], ids=["login", "authorities"])
async def test_the_secret_is_that_of_the_operators_own_namespace(security):
    elsewhere = (secret("login", dict(LOGIN), NAMESPACE), secret("authority", {"ca.crt": "PEM"}, NAMESPACE))
    with pytest.raises(Refused, match=r"spec\.kafka\.security\..*: no Secret \w+ in penstock-system") as refused:
        await access(FakeKube(*elsewhere), **security)
    assert refused.value.reason == "SecretNotFound"


INCOMPLETE: dict[str, dict[str, str | bytes]] = {
    "nothing": {},
    "one key": {"username": "me"},
    "an empty key": LOGIN | {"password": ""},
    "only a line end": LOGIN | {"password": "\n"},
    "no text": LOGIN | {"password": b"\xff\xfe-not-to-be-seen"},
}


@pytest.mark.parametrize("data", INCOMPLETE.values(), ids=INCOMPLETE)
async def test_a_login_that_is_not_whole(data):
    with pytest.raises(Refused, match="it needs username and password") as refused:
        await access(FakeKube(secret("login", data)), sasl=SASL)
    assert refused.value.reason == "SecretIncomplete"
    assert "not-to-be-seen" not in str(refused.value)


async def test_authorities_under_another_key_are_none():
    with pytest.raises(Refused, match=r"Secret authority has no text in key ca\.crt") as refused:
        await access(FakeKube(secret("authority", {"tls.crt": "PEM"})), tls=TLS)
    assert refused.value.reason == "SecretIncomplete"


async def test_an_api_server_that_does_not_answer():
    kube = FakeKube(secret("login", dict(LOGIN)))

    def fail(*_: str) -> None:
        raise RetryLater("time-out")

    kube.before = fail
    with pytest.raises(RetryLater):
        await access(kube, sasl=SASL)


async def test_a_client_is_opened_and_connects_to_nothing_by_itself():
    async with open_kafka(Access(("127.0.0.1:1",))) as kafka:
        assert type(kafka).__name__ == "Kafka"


# ---------------------------------------------------------------- what a job's topics hold


WISH = SourceWish("team", "main", ("flights",), "1/")


def stored(**spec: Any) -> Manifest:
    body = {"kafka": {"bootstrapServers": ["kafka:9092"]}, "allowedNamespaces": {"names": ["team"]}} | spec
    kind = {"apiVersion": "penstock.dev/v1alpha1", "kind": "SourceConnection"}
    return kind | {"metadata": {"name": "main", "uid": "u", "resourceVersion": "1"}, "spec": body}


@asynccontextmanager
async def broker(reached: Access) -> AsyncIterator[Any]:
    """Answers with what it was asked."""
    assert reached.servers == ("kafka:9092",)

    class Asked:
        async def measure(self, names: tuple[str, ...]) -> Measured:
            return Measured((), names)

        async def bounds(self, names: tuple[str, ...]) -> Measured:
            return Measured((), names, newest_millis=7)

        async def offsets_at(self, topics: tuple[Any, ...], millis: int) -> dict[tuple[str, int], int]:
            assert topics == ()
            return {("flights", 0): millis + 1}

    yield Asked()


async def test_the_topics_of_a_wish_are_measured():
    api: Any = FakeKube(stored())
    assert await measure(api, OWN, WISH, broker) == Measured((), ("flights",))


async def test_of_a_recovery_that_is_followed_the_bounds_alone_are_measured():
    api: Any = FakeKube(stored())
    wish = replace(WISH, start="", followed="run/1")
    assert await measure(api, OWN, wish, broker) == Measured((), ("flights",), newest_millis=7)


WATCHED = SourceWish("team", "main", ("flights", "kept", "compacted"), watched="a" * 32)
HOUR = 3_600_000


class Aging:
    """A broker whose offsets are the hours of 1970 at which their records were written."""

    def __init__(self, *topics: Topic) -> None:
        self.topics = topics
        self.asked: list[tuple[tuple[str, ...], int]] = []

    async def measure(self, _: tuple[str, ...]) -> Measured:
        return Measured(self.topics)

    async def offsets_at(self, topics: list[Topic], millis: int) -> dict[tuple[str, int], int]:
        self.asked.append((tuple(topic.name for topic in topics), millis))
        return {(topic.name, each.number): -(-millis // HOUR) for topic in topics for each in topic.partitions}


async def test_of_a_run_that_is_watched_the_ages_are_measured_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clock, "now", lambda: clock.from_millis(1000 * HOUR))
    parts = (Partition(0, 0, 1000), Partition(1, 0, 1000))
    aging = Aging(
        Topic("flights", parts, retention_millis=100 * HOUR),
        Topic("more", parts, retention_millis=100 * HOUR),
        Topic("others", parts[:1], retention_millis=10 * HOUR),
        Topic("kept", parts, retention_millis=None),
        Topic("compacted", parts, retention_millis=HOUR, cleanup_policy=frozenset({"compact"})),
    )

    @asynccontextmanager
    async def connect(_: Access) -> AsyncIterator[Any]:
        yield aging

    api: Any = FakeKube(stored())
    found = await measure(api, OWN, WATCHED, connect)
    places = [(name, number) for name in ("flights", "more") for number in (0, 1)]
    assert found.younger == {
        80: dict.fromkeys(places, 920) | {("others", 0): 992},
        90: dict.fromkeys(places, 910) | {("others", 0): 991},
        95: dict.fromkeys(places, 905) | {("others", 0): 991},
    }
    assert len(aging.asked) == 6, "topics of the same retention are asked about together"
    assert (await measure(api, OWN, WISH, connect)).younger == {}


async def test_the_offsets_of_the_times_of_a_wish_are_asked_for_too():
    api: Any = FakeKube(stored())
    found = await measure(api, OWN, replace(WISH, times=(5, 7)), broker)
    assert found.offsets == {5: {("flights", 0): 6}, 7: {("flights", 0): 8}}


@pytest.mark.parametrize(
    ("manifests", "words"),
    [
        ((), "there is no SourceConnection main"),
        ((stored(allowedNamespaces={"names": ["other"]}),), "main is not for namespace team"),
        ((stored(kafka={}),), "SourceConnection main cannot be read"),
    ],
    ids=["none", "not for it", "unreadable"],
)
async def test_a_connection_that_the_job_may_not_use_is_not_opened(manifests: tuple[Manifest, ...], words: str):
    api: Any = FakeKube(*manifests)
    with pytest.raises(Refused, match=words):
        await measure(api, OWN, WISH, broker)
