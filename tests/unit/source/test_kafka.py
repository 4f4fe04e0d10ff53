"""The Kafka client's faults, on a small stand-in for the library's admin client. What it measures is measured on a real
broker, in tests/integration/source."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from penstock.errors import Refused, RetryLater
from penstock.source import kafka as module
from penstock.source.access import Access, Login
from penstock.source.answers import Partition, Topic
from penstock.source.kafka import Kafka

ACCESS = Access(("kafka:9092",))
SECRET = "not-to-be-seen"  # noqa: S105 - a canary


def failed(word: str, text: str = "Broker: no") -> KafkaException:
    return KafkaException(KafkaError(getattr(KafkaError, word), text))


def done(result: Any) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
    return future


class Admin:
    """Topics by name: the first record's offset and time, earliest and latest offset of their only partition."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.topics: dict[str, Any] = {"flights": (3, 1000, 3, 9)}
        self.config: Any = {"retention.ms": "86400000", "retention.bytes": "-1", "cleanup.policy": "delete"}
        self.before: Callable[[str], None] = lambda _call: None
        self.told: list[KafkaError] = []
        self.calls: list[str] = []
        self.times: list[int] = []
        self.closed = 0

    def __call__(self, settings: dict[str, Any]) -> Admin:
        self.settings = settings
        self._called("open")
        return self

    def __exit__(self, *_: object) -> None:
        self.closed += 1

    def _called(self, name: str) -> None:
        self.calls.append(name)
        self.before(name)

    def poll(self, _seconds: float) -> None:
        for each in self.told:
            self.settings["error_cb"](each)

    def describe_cluster(self, **_: object) -> Future[Any]:
        self._called("cluster")
        return done(SimpleNamespace(cluster_id="abc", nodes=[1, 2, 3]))

    def describe_topics(self, topics: Any, **_: object) -> dict[str, Future[Any]]:
        self._called("topics")
        found = SimpleNamespace(partitions=[SimpleNamespace(id=0)])
        unknown = failed("UNKNOWN_TOPIC_OR_PART")
        return {name: done(found if name in self.topics else unknown) for name in topics.topic_names}

    def describe_configs(self, asked: Any, **_: object) -> dict[Any, Future[Any]]:
        self._called("configs")
        config = self.config
        if not isinstance(config, Exception):
            config = {key: SimpleNamespace(value=value) for key, value in config.items()}
        return {each: done(config) for each in asked}

    def list_offsets(self, asked: Any, **_: object) -> dict[Any, Future[Any]]:
        self._called("offsets")
        return {key: done(self._offset(key.topic, spec._value)) for key, spec in asked.items()}

    def _offset(self, topic: str, spec: int) -> Any:
        held = self.topics[topic]
        if isinstance(held, Exception):
            return held
        first, millis, earliest, latest = held
        self.times += [spec] if spec >= 0 else []
        offset, time = {-2: (earliest, -1), -1: (latest, -1)}.get(spec, (first, millis))
        return SimpleNamespace(offset=offset, timestamp=time)


@pytest.fixture
def admin(monkeypatch) -> Admin:
    made = Admin()
    monkeypatch.setattr(module, "AdminClient", made)
    return made


async def measure(*names: str) -> Any:
    async with Kafka(ACCESS) as kafka:
        return await kafka.measure(names)


# ---------------------------------------------------------------- what it says


async def test_the_cluster(admin):
    async with Kafka(ACCESS) as kafka:
        assert await kafka.cluster() == module.Cluster("abc", 3)
    assert admin.closed == 1


@pytest.mark.usefixtures("admin")
async def test_a_topic():
    found = await measure("flights", "gone", "flights")
    assert found.topics == (Topic("flights", (Partition(0, 3, 9, 1000),), 86_400_000, None, frozenset({"delete"})),)
    assert found.unknown == ("gone",)


async def test_the_bounds_alone_are_asked_for_often(admin):
    async with Kafka(ACCESS) as kafka:
        found = await kafka.bounds(["flights", "gone", "flights"])
        nothing = await kafka.bounds([])
    assert (found.topics, found.unknown) == ((Topic("flights", (Partition(0, 3, 9),)),), ("gone",))
    assert (found.newest_millis, nothing) == (1000, module.Measured(()))
    assert admin.calls == ["open", "topics", *["offsets"] * 3]


async def test_nothing_is_asked_of_no_topic(admin):
    assert (await measure()).topics == ()
    assert admin.calls == ["open"]
    assert (await measure("gone")).unknown == ("gone",)
    assert "configs" not in admin.calls
    assert "offsets" not in admin.calls


async def test_a_topic_that_is_deleted_while_it_is_measured_is_unknown(admin):
    admin.config = failed("UNKNOWN_TOPIC_OR_PART")
    assert (await measure("flights")).unknown == ("flights",)


async def test_an_empty_partition_has_no_time(admin):
    admin.topics["flights"] = (-1, -1, 9, 9)
    assert (await measure("flights")).topics[0].partitions == (Partition(0, 9, 9, None),)


@pytest.mark.parametrize(
    ("config", "limits"),
    [
        ({"retention.ms": "-1", "retention.bytes": "5", "cleanup.policy": "compact, delete"}, (None, 5, True)),
        ({"retention.ms": "0", "retention.bytes": "", "cleanup.policy": "compact"}, (0, None, True)),
        ({}, (None, None, False)),
    ],
    ids=str,
)
async def test_settings(admin, config, limits):
    admin.config = config
    [topic] = (await measure("flights")).topics
    assert (topic.retention_millis, topic.retention_bytes, topic.compacted) == limits


async def test_the_offset_of_a_time(admin):
    topics = [Topic("flights", (Partition(0, 3, 9),))]
    async with Kafka(ACCESS) as kafka:
        assert await kafka.offsets_at(topics, 1000) == {("flights", 0): 3}
        admin.topics["flights"] = (-1, -1, 3, 12)
        assert await kafka.offsets_at(topics, 2000) == {("flights", 0): 9}
        assert await kafka.offsets_at([], 2000) == {}


@pytest.mark.parametrize("millis", [-1, -2, -(10**15)])
async def test_a_time_before_1970_is_no_word_of_the_protocol(admin, millis):
    async with Kafka(ACCESS) as kafka:
        await kafka.offsets_at([Topic("flights", (Partition(0, 3, 9),))], millis)
    assert admin.times == [0]


# ---------------------------------------------------------------- records that go while they are looked at


async def test_a_first_record_that_was_deleted_meanwhile_is_asked_for_again(admin):
    admin.topics["flights"] = (3, 1000, 5, 9)

    def settle(call: str) -> None:
        if call == "offsets" and admin.calls.count("offsets") == 4:
            admin.topics["flights"] = (5, 7000, 5, 9)

    admin.before = settle
    assert (await measure("flights")).topics[0].partitions == (Partition(0, 5, 9, 7000),)


async def test_records_that_go_faster_than_they_can_be_asked_for(admin):
    admin.topics["flights"] = (3, 1000, 5, 9)
    with pytest.raises(RetryLater, match="topic flights, partition 0: records are deleted faster"):
        await measure("flights")
    assert admin.closed == 1


async def test_control_records_at_the_front_are_no_deletion(admin):
    admin.topics["flights"] = (5, 1000, 0, 9)
    assert (await measure("flights")).topics[0].partitions == (Partition(0, 0, 9, 1000),)


# ---------------------------------------------------------------- faults

CALLS = ["open", "topics", "configs", "offsets"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (failed("_TIMED_OUT"), RetryLater),
        (failed("_TRANSPORT"), RetryLater),
        (failed("TOPIC_AUTHORIZATION_FAILED"), Refused),
        (ValueError("no topic name"), Refused),
        (TypeError("no text"), Refused),
        (RuntimeError("not in the map"), RetryLater),
    ],
    ids=repr,
)
async def test_whatever_the_library_raises_is_one_of_ours(admin, call, error, kind):
    def fail(name: str) -> None:
        if name == call:
            raise error

    admin.before = fail
    with pytest.raises(kind):
        await measure("flights")
    assert admin.closed == (call != "open")


async def test_a_partition_without_a_leader_is_asked_again_later(admin):
    admin.topics["flights"] = failed("LEADER_NOT_AVAILABLE", "Broker: Leader not available")
    with pytest.raises(RetryLater, match="topic flights, partition 0: Broker: Leader not available"):
        await measure("flights")


async def test_a_right_that_is_missing_is_named(admin):
    admin.config = failed("TOPIC_AUTHORIZATION_FAILED")
    with pytest.raises(Refused, match="needs Describe and DescribeConfigs") as refused:
        await measure("flights")
    assert refused.value.reason == "NotAllowed"


async def test_a_library_that_never_answers_is_not_waited_for(admin, monkeypatch):
    monkeypatch.setattr(module, "CALL_SECONDS", 0.01)
    monkeypatch.setattr(module, "_GRACE_SECONDS", 0.01)
    answer: Future[Any] = Future()
    answer.set_running_or_notify_cancel()
    monkeypatch.setattr(admin, "describe_cluster", lambda **_: answer)
    async with Kafka(ACCESS) as kafka:
        with pytest.raises(RetryLater, match="ask kafka:9092: no answer"):
            await kafka.cluster()
    answer.set_result(None)  # too late, and nobody minds
    await asyncio.sleep(0)


async def test_the_cause_is_told_when_the_library_is_polled(admin):
    admin.told = [KafkaError(KafkaError._AUTHENTICATION, "sasl_ssl://kafka:9092/bootstrap: Authentication failed")]
    admin.describe_cluster = lambda **_: done(failed("_TIMED_OUT"))
    async with Kafka(ACCESS) as kafka:
        with pytest.raises(Refused, match="ask kafka:9092: kafka:9092: Authentication failed") as refused:
            await kafka.cluster()
    assert refused.value.reason == "AuthenticationFailed"


async def test_it_is_closed_when_the_work_is_cancelled(admin):
    async with asyncio.timeout(5):
        opened = asyncio.Event()

        async def work() -> None:
            async with Kafka(ACCESS):
                opened.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await opened.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert admin.closed == 1


async def test_closing_is_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(module, "_CLOSE_SECONDS", 0.01)
    release: Future[None] = Future()
    stubborn: Any = SimpleNamespace(__exit__=lambda *_: release.result(5))
    kafka = Kafka(ACCESS)
    kafka._admin = stubborn
    async with asyncio.timeout(2):
        await kafka.__aexit__(None, None, None)
    release.set_result(None)


async def test_a_client_that_cannot_be_made_is_not_waited_for(monkeypatch):
    release: Future[None] = Future()
    monkeypatch.setattr(module, "CALL_SECONDS", 0.01)
    monkeypatch.setattr(module, "AdminClient", lambda _settings: release.result(5))
    with pytest.raises(RetryLater, match="no Kafka client could be made"):
        await Kafka(ACCESS).__aenter__()
    release.set_result(None)


async def test_outside_of_its_block_it_is_a_mistake():
    with pytest.raises(RuntimeError, match="inside of its `async with`"):
        await Kafka(ACCESS).cluster()


# ---------------------------------------------------------------- settings

PROTOCOLS = {
    "PLAINTEXT": Access(("a:1",)),
    "SSL": Access(("a:1",), tls=True),
    "SASL_PLAINTEXT": Access(("a:1",), login=Login("SCRAM-SHA-512", "me", SECRET)),
    "SASL_SSL": Access(("a:1",), tls=True, authorities="PEM", login=Login("PLAIN", "me", SECRET)),
}


@pytest.mark.parametrize(("protocol", "access"), PROTOCOLS.items())
async def test_how_the_connection_is_protected(admin, protocol, access):
    async with Kafka(access):
        assert admin.settings["security.protocol"] == protocol
        assert admin.settings.get("ssl.ca.pem") == access.authorities
        assert admin.settings.get("sasl.password") == (SECRET if access.login else None)


@pytest.mark.parametrize("access", PROTOCOLS.values(), ids=PROTOCOLS)
async def test_the_library_takes_the_settings(access):
    """The real one; it connects to nothing before it is asked."""
    if access.authorities:
        with pytest.raises(Refused, match="not in PEM format") as refused:
            await Kafka(access).__aenter__()
        assert refused.value.reason == "ConnectionInvalid"
        return
    async with Kafka(access) as kafka:
        assert kafka._admin is not None


def test_a_password_has_no_readable_form():
    access = PROTOCOLS["SASL_SSL"]
    assert SECRET not in f"{access!r} {access} {access.login!r}"


async def test_no_message_holds_the_password():
    access = Access(("127.0.0.1:1",), login=Login("PLAIN", "me", SECRET))
    async with Kafka(access) as kafka:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "CALL_SECONDS", 1.0)
            with pytest.raises(RetryLater, match=r"ask 127\.0\.0\.1:1: no answer \(.*Connection refused\)") as error:
                await kafka.cluster()
    assert SECRET not in str(error.value)


# ---------------------------------------------------------------- memory


def test_the_library_is_not_loaded_with_the_operator():
    """Only a SourceConnection that is looked at loads it: clusters without one must not pay for it."""
    program = (
        "import sys\nimport penstock.__main__\n"
        "found = [name for name in sys.modules if 'confluent' in name]\n"
        "sys.exit(', '.join(found) or 0)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
