"""The few things that the demo asks of Kafka."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # type: ignore[attr-defined]

if TYPE_CHECKING:
    from collections.abc import Iterator

ERRORS_ONLY: Final = 3
"""A syslog level for librdkafka, which otherwise tells of every reconnection and of its own experimental settings."""

_REQUEST_SECONDS: Final = 30
_AGAIN_SECONDS: Final = 0.1
_BATCH: Final = 10_000
_LATEST: Final = OffsetSpec.latest()  # type: ignore[no-untyped-call]


class Record(NamedTuple):
    """A record as it lies in a topic."""

    partition: int
    offset: int
    value: bytes


@cache
def _admin(bootstrap: str) -> AdminClient:
    """One client for all requests: each has threads and connections of its own."""
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": ERRORS_ONLY})


def create(bootstrap: str, topic: str, partitions: int) -> bool:
    """Makes a topic with one replica that keeps its records, and waits until it can be used.

    Returns:
        False when it was there already.

    Raises:
        KafkaException: Kafka is not there, refuses, or does not show the topic in time.
    """
    settings = {"retention.ms": "-1", "cleanup.policy": "delete"}
    future = _admin(bootstrap).create_topics([NewTopic(topic, partitions, 1, config=settings)])[topic]
    try:
        future.result(_REQUEST_SECONDS)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise
    deadline = time.monotonic() + _REQUEST_SECONDS
    while True:
        try:
            end_offsets(bootstrap, topic)
        except KafkaException:
            # The controller has made the topic; the broker that was asked may not have heard of it yet, or its
            # partitions have no leader. Seen once in 12 topics on a busy machine.
            if time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN_SECONDS)
        else:
            return True


def end_offsets(bootstrap: str, topic: str, *, committed: bool = False) -> list[int]:
    """The end offset of each partition.

    Args:
        bootstrap: Where Kafka is.
        topic: The topic's name.
        committed: Only up to the first open transaction, as a read_committed consumer sees it.

    Raises:
        KafkaException: Among others when the topic does not exist.
    """
    admin = _admin(bootstrap)
    found = admin.list_topics(topic, timeout=_REQUEST_SECONDS).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    wanted = {TopicPartition(topic, partition): _LATEST for partition in found.partitions}
    futures = admin.list_offsets(wanted, isolation_level=level, request_timeout=_REQUEST_SECONDS)
    answers = {asked.partition: future.result(_REQUEST_SECONDS).offset for asked, future in futures.items()}
    return [answers[partition] for partition in sorted(answers)]


def settled_end_offsets(bootstrap: str, topic: str, quiet_seconds: float) -> list[int]:
    """The end offsets, once they have not moved for a while.

    The last requests of a producer that was killed may lie in the broker's socket and be appended after it is dead.
    """
    ends = end_offsets(bootstrap, topic)
    since = time.monotonic()
    while time.monotonic() - since < quiet_seconds:
        time.sleep(_AGAIN_SECONDS)
        now = end_offsets(bootstrap, topic)
        if now != ends:
            ends, since = now, time.monotonic()
    return ends


def read_committed(bootstrap: str, topic: str) -> Iterator[Record]:
    """Every committed record from the start to the end that the topic has now, without joining a consumer group."""
    ends = end_offsets(bootstrap, topic, committed=True)
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "penstock-demo-check",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "log_level": ERRORS_ONLY,
            # Control records end every transaction, so the last offset is seldom a record's: wait for the end itself.
            "enable.partition.eof": True,
        },
    )
    try:
        open_partitions = {partition for partition, end in enumerate(ends) if end > 0}
        reader.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in open_partitions])
        while open_partitions:
            for message in reader.consume(_BATCH, timeout=1):
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    raise KafkaException(error)
                # The library types these as optional; only a message that was never sent lacks them.
                partition, offset = cast("int", message.partition()), cast("int", message.offset())
                if offset >= ends[partition]:
                    open_partitions.discard(partition)
                elif error is None:
                    yield Record(partition, offset, message.value() or b"")
    finally:
        reader.close()
