"""Runs in the lab's tools pod (given to `python3 -`): feeds flights, each with its event time as the record's own time.

make TOPIC PARTITIONS              a topic that keeps its records
feed TOPIC PARTITIONS FIRST UNTIL  flights from number FIRST on that were to leave before UNTIL (milliseconds); prints
                                   the number of the first that was not fed. After the last one, an end marker for each
                                   partition.
cut TOPIC PARTITION TIME           delete a partition's records of before TIME, as retention does it, which a test
                                   cannot wait for
rate TOPIC PARTITIONS EACH         EACH end markers a second, until `halt` is said: records that arrive
halt TOPIC                         end that
committed TOPIC PARTITIONS GROUP   the offsets that a group has committed, their sum
remove TOPIC                       delete a topic
"""

import sys
import time
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from demo import data, topic

HALT = Path("/dev/shm/halt")  # noqa: S108 - all else in the pod is read-only


def produce(producer: Producer, name: str, partition: int, flight: data.Flight) -> None:
    while True:
        try:
            # The demo's feeder writes its own time; a replay looks for a time in the topic.
            producer.produce(name, data.record(flight), partition=partition, timestamp=flight.event_time)
        except BufferError:
            producer.poll(0.1)
        else:
            producer.poll(0)
            return


def feed(bootstrap: str, name: str, partitions: int, first: int, until: int) -> int:
    flights = data.load()
    settings = {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "compression.type": "lz4"}
    producer = Producer({**settings, "log_level": topic.ERRORS_ONLY})
    end = next((number for number, flight in enumerate(flights) if flight.event_time >= until), len(flights))
    for number in range(first, end):
        produce(producer, name, number % partitions, flights[number])
    if end == len(flights):
        for partition in range(partitions):
            produce(producer, name, partition, data.marker(flights))
    if producer.flush(60):
        sys.exit("not all was fed")
    return end


def rate(bootstrap: str, name: str, partitions: int, each: int) -> None:
    settings = {"bootstrap.servers": bootstrap, "linger.ms": 20, "compression.type": "lz4"}
    producer = Producer({**settings, "log_level": topic.ERRORS_ONLY})
    marker = data.marker(data.load())
    began, fed = time.monotonic(), 0
    HALT.unlink(missing_ok=True)
    # The end of `kubectl exec` does not end what it has begun.
    while not HALT.exists():
        while fed < (time.monotonic() - began) * each:
            produce(producer, name, fed % partitions, marker)
            fed += 1
        time.sleep(0.05)
    producer.flush(60)


def committed(bootstrap: str, name: str, partitions: int, group: str) -> int:
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "log_level": topic.ERRORS_ONLY})
    found = reader.committed([TopicPartition(name, number) for number in range(partitions)], 30)
    reader.close()
    return sum(max(each.offset, 0) for each in found)


def cut(bootstrap: str, name: str, partition: int, time: int) -> None:
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "look", "log_level": topic.ERRORS_ONLY})
    [place] = reader.offsets_for_times([TopicPartition(name, partition, time)], 30)
    reader.close()
    admin = AdminClient({"bootstrap.servers": bootstrap})  # held: without it the answers never come
    for future in admin.delete_records([place]).values():
        future.result(30)


def main() -> None:
    bootstrap, verb, name, *given = sys.argv[1:]
    numbers = [int(each) for each in given if each.isdecimal()]
    if verb == "make":
        topic.create(bootstrap, name, numbers[0])
    elif verb == "remove":
        admin = AdminClient({"bootstrap.servers": bootstrap})
        admin.delete_topics([name])[name].result(30)
    elif verb == "committed":
        print(committed(bootstrap, name, numbers[0], given[1]))
    elif verb == "rate":
        rate(bootstrap, name, *numbers)
    elif verb == "halt":
        HALT.touch()
    elif verb == "cut":
        cut(bootstrap, name, *numbers)
    else:
        print(feed(bootstrap, name, *numbers))


main()
