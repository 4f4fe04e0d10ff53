"""The feeder against a real Kafka: killed again and again, it writes every flight once."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo import check, data, oracle, topic
from demo.plan import Plan

ROOT = Path(__file__).parents[3]
PARTITIONS = 4
COUNT = 60_000
KILLS = 4

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


def start(bootstrap: str, *more: str) -> subprocess.Popen[str]:
    """A feeder that has begun to write."""
    command = [sys.executable, "-m", "demo", "feed", "--bootstrap", bootstrap, f"--count={COUNT}", *more]
    feeder = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert feeder.stdout is not None
    while " holds " not in (line := feeder.stdout.readline()):
        assert line or feeder.poll() is None, f"the feeder ended with {feeder.returncode}"
    return feeder


def test_a_feeder_that_is_killed_again_and_again_writes_every_flight_once(bootstrap: str) -> None:
    chance = random.Random(7)  # noqa: S311 - moments of death, not secrets
    for _ in range(KILLS):
        feeder = start(bootstrap, "--rate=15000")
        time.sleep(chance.uniform(0.2, 0.9))
        feeder.kill()
        feeder.communicate()
    last = start(bootstrap)
    last.communicate()
    assert last.returncode == 0

    flights = data.load()
    assert topic.end_offsets(bootstrap, "flights") == [Plan(COUNT, PARTITIONS).length(each) for each in range(4)]
    position = [0] * PARTITIONS
    for record in topic.read_committed(bootstrap, "flights"):
        assert record.offset == position[record.partition]
        assert record.value == data.record(flights[record.offset * PARTITIONS + record.partition])
        position[record.partition] += 1
    assert sum(position) == COUNT

    # What another writer leaves is not taken for our own.
    assert topic.create(bootstrap, "flights", 3) is False
    topic.create(bootstrap, "other", 3)
    refused = subprocess.run(
        [sys.executable, "-m", "demo", "feed", "--bootstrap", bootstrap, "--topic", "other"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert refused.stderr.strip() == "the topic has 3 partitions, not 4"

    # An empty output topic: everything is missing, nothing else is wrong.
    report = check.compare(oracle.windows(flights), topic.read_committed(bootstrap, "other"))
    assert (len(report.missing), report.extra, report.different) == (oracle.TOTAL_WINDOWS, [], [])
