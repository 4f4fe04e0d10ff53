"""What is measured of a real Kafka: the cluster, what its topics hold, and what that covers."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from demo import topic as admin_of
from penstock.api import constants
from penstock.api.base import format_time
from penstock.brokers import measure
from penstock.decide.coverage import from_offsets, from_time
from penstock.errors import RetryLater
from penstock.source.access import Access
from penstock.source.answers import Partition, Topic
from penstock.source.held import Held, SourceWish
from penstock.source.kafka import CALL_SECONDS, Kafka
from tests.unit.builders import NAMESPACE, connection_manifest, job, live, observed
from tests.unit.decide.moves import moves
from tests.unit.fakes import FakeKube

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

SECONDS = 30
COUNT = 60
BASE = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
"""The time of each topic's first record; the others follow by the second."""
Make = Callable[..., str]


def millis(seconds: int) -> int:
    return int((BASE + timedelta(seconds=seconds)).timestamp()) * 1000


def partition_of(number: int, earliest: int, latest: int, second: int | None) -> Partition:
    return Partition(number, earliest, latest, None if second is None else millis(second))


def delete(admin: AdminClient, name: str, cut: dict[int, int]) -> None:
    """Delete the records before these offsets, as retention does it, which a test cannot wait for."""
    if cut:
        places = [TopicPartition(name, partition, offset) for partition, offset in cut.items()]
        for future in admin.delete_records(places).values():
            future.result(SECONDS)


@pytest.fixture
def admin(broker: str) -> AdminClient:
    return admin_of._admin(broker)


@pytest.fixture
def make(broker: str, admin: AdminClient) -> Make:
    """Makes a topic of three partitions; the first two have 60 records each, one a second."""

    def made(name: str, cut: dict[int, int] | None = None, **settings: str) -> str:
        config = {key.replace("_", "."): value for key, value in settings.items()}
        admin.create_topics([NewTopic(name, 3, 1, config=config)])[name].result(SECONDS)
        producer = Producer({"bootstrap.servers": broker, "log_level": admin_of.ERRORS_ONLY})
        for number in range(COUNT):
            for partition in (0, 1):
                producer.produce(name, b"x", key=b"k", partition=partition, timestamp=millis(number))
        assert producer.flush(SECONDS) == 0
        delete(admin, name, cut or {})
        return name

    return made


async def test_the_cluster(broker: str) -> None:
    async with Kafka(Access((broker,))) as kafka:
        cluster = await kafka.cluster()
    assert cluster.id
    assert cluster.brokers == 1


def _offsets(topic: Topic) -> list[tuple[int, int, int]]:
    return [(each.number, each.earliest, each.latest) for each in topic.partitions]


async def test_what_topics_hold(broker: str, make: Make, admin: AdminClient) -> None:
    make("whole", retention_ms="86400000")
    make("cut", {0: 25, 1: COUNT}, retention_ms="7200000", retention_bytes="1073741824")
    make("compacted", cleanup_policy="compact,delete", retention_ms="-1")
    async with Kafka(Access((broker,))) as kafka:
        found = await kafka.measure(["whole", "cut", "compacted", "gone", "cut"])
        compacted, cut, whole = found.topics
        at = await kafka.offsets_at([cut, whole], millis(40))
        bounds = await kafka.bounds(["whole", "cut", "gone"])
        late = await kafka.offsets_at([whole], millis(COUNT))
        early = await kafka.offsets_at([cut, whole], millis(-1000))
    assert found.unknown == ("gone",)
    assert whole == Topic(
        "whole",
        (partition_of(0, 0, COUNT, 0), partition_of(1, 0, COUNT, 0), partition_of(2, 0, 0, None)),
        retention_millis=86_400_000,
    )
    assert cut.partitions == (
        partition_of(0, 25, COUNT, 25),
        partition_of(1, COUNT, COUNT, None),
        partition_of(2, 0, 0, None),
    )
    # What is asked for often says the same of the offsets.
    assert [_offsets(each) for each in bounds.topics] == [_offsets(cut), _offsets(whole)]
    assert (bounds.unknown, bounds.newest_millis) == (("gone",), millis(COUNT - 1))
    assert (cut.retention_millis, cut.retention_bytes, cut.compacted) == (7_200_000, 1 << 30, False)
    assert (compacted.retention_millis, compacted.cleanup_policy) == (None, {"compact", "delete"})
    assert [at[place] for place in sorted(at)] == [40, COUNT, 0, 40, 40, 0]
    assert [late[place] for place in sorted(late)] == [COUNT, COUNT, 0]
    assert [early[place] for place in sorted(early)] == [25, COUNT, 0, 0, 0, 0]
    # Measuring makes no topic.
    assert "gone" not in admin.list_topics(timeout=SECONDS).topics


async def test_what_is_covered(broker: str, make: Make) -> None:
    make("flights", {0: 25, 1: COUNT}, retention_ms="7200000")
    async with Kafka(Access((broker,))) as kafka:
        measured = await kafka.measure(["flights", "gone"])
    wanted, now = BASE + timedelta(seconds=20), BASE + timedelta(hours=1)
    found = from_time(measured, wanted, now)
    assert [(gap.partition, gap.earliest, gap.missing) for gap in found.gaps] == [
        (0, BASE + timedelta(seconds=25), timedelta(seconds=5)),
        (1, None, None),
    ]
    # By the topic's settings these should be there; that somebody deleted them by hand cannot be seen.
    assert [gap.within_retention for gap in found.gaps] == [True, True]
    assert found.unknown == ("gone",)
    assert [gap.partition for gap in from_time(measured, BASE + timedelta(seconds=25), now).gaps] == [1]
    places = {("flights", 0): 20, ("flights", 1): COUNT, ("flights", 2): 1}
    told = from_offsets(measured, places)
    assert [(gap.partition, gap.missing) for gap in told.offset_gaps] == [(0, 5)]
    assert [(gone.partition, gone.latest) for gone in told.vanished] == [(2, 0)]


async def test_the_records_since_a_time_are_those_between_its_offset_and_the_end(broker: str, make: Make) -> None:
    """What `penstock estimate` is answered with: through the wish, as the operator asks."""
    make("counted", {1: 50}, retention_ms="7200000")
    connection = connection_manifest(bootstrapServers=[broker])
    wish = SourceWish(NAMESPACE, "events", ("counted",), "estimate/a1", times=(millis(40), millis(COUNT)))
    kube: Any = FakeKube(connection)
    # Asked three hours later: by its settings the topic need not hold that time any more.
    held = Held(wish, BASE + timedelta(hours=3), await measure(kube, "penstock-system", wish))
    made = job(live(), sources=[{"name": "counted", "kafka": {"connection": "events", "topics": ["counted"]}}])
    question = f"a1 {format_time(BASE + timedelta(seconds=40))} {format_time(BASE + timedelta(seconds=COUNT))}"
    asking = made.model_copy(
        update={"metadata": made.metadata.model_copy(update={"annotations": {constants.ESTIMATE: question}})}
    )
    told = moves(observed(asking, held={wish: held})).status.estimate
    assert told is not None
    assert told.problem == ""
    assert [(each.partition, each.records, each.deleted) for each in told.partitions] == [
        (0, (20, 0), False),
        (1, (10, 0), True),  # ten of the twenty have been deleted
        (2, (0, 0), False),
    ]


async def test_the_end_of_a_transaction_counts_as_a_record_of_its_own_time(broker: str, admin: AdminClient) -> None:
    admin.create_topics([NewTopic("paid", 1, 1)])["paid"].result(SECONDS)
    producer = Producer({"bootstrap.servers": broker, "transactional.id": "paid", "log_level": admin_of.ERRORS_ONLY})
    producer.init_transactions(SECONDS)
    producer.begin_transaction()
    producer.produce("paid", b"x", timestamp=millis(0))
    producer.commit_transaction(SECONDS)
    # The end of a transaction is written after the answer that it is committed; the next one waits for it.
    Producer({"bootstrap.servers": broker, "transactional.id": "paid"}).init_transactions(SECONDS)
    async with Kafka(Access((broker,))) as kafka:
        before = await kafka.measure(["paid"])
        delete(admin, "paid", {0: 1})
        after = await kafka.measure(["paid"])
    assert before.topics[0].partitions == (partition_of(0, 0, 2, 0),)
    [left] = after.topics[0].partitions
    assert (left.earliest, left.latest) == (1, 2)
    # The broker gives it the time of the commit: later than anything that was deleted before it.
    assert left.earliest_millis is not None
    assert left.earliest_millis > millis(COUNT)


async def test_records_whose_segment_still_holds_older_ones(broker: str, admin: AdminClient) -> None:
    """Of records that lie weeks apart each gets a segment of its own, which outlives its records for minutes.

    Until it goes, Kafka looks for a time in the first segment that has ever held one as late, and finds nothing there.
    """
    name, day = "weeks", 86_400
    admin.create_topics([NewTopic(name, 1, 1, config={"retention.ms": "-1"})])[name].result(SECONDS)
    producer = Producer({"bootstrap.servers": broker, "log_level": admin_of.ERRORS_ONLY})
    for number in range(-6, 0):
        for second in range(3):
            producer.produce(name, b"x", timestamp=millis(number * 10 * day + second))
        assert producer.flush(SECONDS) == 0
    delete(admin, name, {0: 7})
    first = millis(-4 * 10 * day + 1)
    async with Kafka(Access((broker,))) as kafka:
        found = await kafka.measure([name])
        at = [
            (await kafka.offsets_at(found.topics, when))[name, 0]
            for when in (0, first - 1, first, first + 1, millis(-3 * 10 * day), millis(-10 * day + 2), millis(0))
        ]
    assert found.topics[0].partitions == (Partition(0, 7, 18, first),)
    assert at == [7, 7, 7, 8, 9, 17, 18]


@pytest.mark.parametrize("more", [{}, {"tls": True}], ids=["nobody listens", "it does not speak TLS"])
async def test_one_that_does_not_answer_is_not_waited_for(broker: str, more: dict[str, Any]) -> None:
    servers = (broker,) if more else ("localhost:1",)
    begun = time.monotonic()
    async with Kafka(Access(servers, **more)) as kafka:
        with pytest.raises(RetryLater, match=servers[0]):
            await kafka.cluster()
    assert time.monotonic() - begun < CALL_SECONDS + 5
