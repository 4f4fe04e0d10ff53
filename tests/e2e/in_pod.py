"""Runs in the lab's tools pod (given to `python3 -`): feeds numbers to a topic, and reads the rows that a job made.

make IN OUT                        two topics of one partition
feed IN FIRST COUNT                the numbers FIRST, FIRST + 1, …
rows OUT OFFSET LAST SECONDS       the rows from an offset on, when those of FIRST..LAST are there without a gap
"""

import json
import sys
import time
from collections.abc import Iterator

from confluent_kafka import Consumer, Producer, TopicPartition

from demo import topic

_QUIET_SECONDS = 0.3
"""A row that comes twice comes right after the others."""


def feed(bootstrap: str, name: str, first: int, count: int) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": topic.ERRORS_ONLY})
    for number in range(first, first + count):
        producer.produce(name, json.dumps({"n": number}).encode(), partition=0)
        producer.poll(0)
    if producer.flush(30):
        sys.exit("not all was fed")


def rows(bootstrap: str, name: str, offset: int, last: int, seconds: float) -> Iterator[str]:
    settings = {"bootstrap.servers": bootstrap, "group.id": "look", "log_level": topic.ERRORS_ONLY}
    reader = Consumer({**settings, "enable.auto.commit": False, "fetch.wait.max.ms": 50})
    reader.assign([TopicPartition(name, 0, offset)])
    found, numbers = [], set()
    deadline, quiet = time.monotonic() + seconds, 0.0
    while time.monotonic() < deadline:
        records = reader.consume(10_000, 0.1)
        for record in records:
            if record.error() is None and record.value() is not None:
                row = json.loads(record.value())
                found.append(row)
                numbers.add(row["n"])
        whole = last in numbers and len(numbers) == last + 1 - min(numbers)
        quiet = (quiet or time.monotonic()) if whole and not records else 0.0
        if quiet and time.monotonic() - quiet > _QUIET_SECONDS:
            break
    reader.close()
    return map(json.dumps, found)


def main() -> None:
    bootstrap, verb, *given = sys.argv[1:]
    if verb == "make":
        for name in given:
            topic.create(bootstrap, name, 1)
    elif verb == "feed":
        feed(bootstrap, given[0], int(given[1]), int(given[2]))
    else:
        for line in rows(bootstrap, given[0], int(given[1]), int(given[2]), float(given[3])):
            print(line)
        print(json.dumps({"end": topic.end_offsets(bootstrap, given[0])[0]}))


main()
