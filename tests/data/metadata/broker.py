"""A Kafka broker on loopback for `make.py`, and records whose offsets are known."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.images import jars
from cluster.settings import paths

ADDRESS = "127.0.0.1:29192"
RECORDS = {("flights", 0): 10, ("flights", 1): 25, ("flights", 2): 0, ("delays", 0): 7}
"""Topic and partition to the number of records in it: the offset at which a job that has read all goes on."""
SECONDS = 60
SETTINGS = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:29193
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{address},CONTROLLER://127.0.0.1:29193
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
"""


@contextmanager
def broker(work: Path) -> Iterator[None]:
    """One broker that is its own controller, with RECORDS in it."""
    folder = work / "kafka"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (work / "log").mkdir(exist_ok=True)
    config = folder / "server.properties"
    config.write_text(SETTINGS.format(address=ADDRESS, folder=folder))
    libraries = ":".join(map(str, jars.fetch(paths(), "kafka")))
    java = ["java", "-Xmx400m", f"-Djava.io.tmpdir={folder}", "-cp", libraries]
    format_ = [*java, "kafka.tools.StorageTool", "format", "--cluster-id", "cGVuc3RvY2sta2Fma2EwMA", "--config", config]
    subprocess.run(format_, check=True, stdout=subprocess.DEVNULL)
    with (work / "log" / "kafka.out").open("wb") as log:
        program = subprocess.Popen(
            [*java, "kafka.Kafka", config], stdout=log, stderr=log, start_new_session=True, cwd=folder
        )
        try:
            _feed()
            yield
        finally:
            os.killpg(program.pid, signal.SIGTERM)
            program.wait(60)


def _feed() -> None:
    # Only where it is wanted: everything else here runs with the machine's own Python.
    from confluent_kafka import Producer  # noqa: PLC0415
    from confluent_kafka.admin import AdminClient, NewTopic  # noqa: PLC0415

    settings = {"bootstrap.servers": ADDRESS, "log_level": 0}
    counts: dict[str, int] = {}
    for name, _ in RECORDS:
        counts[name] = counts.get(name, 0) + 1
    admin = AdminClient(settings)
    made = admin.create_topics([NewTopic(name, count, 1) for name, count in counts.items()], operation_timeout=SECONDS)
    for future in made.values():
        future.result(SECONDS)
    producer = Producer(settings)
    for (name, partition), count in RECORDS.items():
        for number in range(count):
            producer.produce(name, f'{{"id": {number}, "payload": "x"}}'.encode(), partition=partition)
    if producer.flush(SECONDS):
        raise TimeoutError("the records were not taken")
