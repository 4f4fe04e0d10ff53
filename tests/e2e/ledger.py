"""A job whose state is known to the last digit, and what lies in the bucket of its checkpoints.

The source are the numbers 0, 1, 2, … in one partition of Kafka, fed by the test. The state is, for each of `KEYS` keys
(n modulo KEYS), how many numbers came, their sum and the largest. Each number makes one row with the three of its key.
So a row tells what the state of its key was before; from all first rows after a restore the whole state that came back
is known: the position q of the source, and of each key exactly what the numbers below q make.
"""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from penstock.flink.metadata import needed, read

if TYPE_CHECKING:
    from lab import Lab

KEYS = 600
NAME = "ledger"
_SCRIPT = Path(__file__).with_name("in_pod.py").read_text()
_BUCKET = "s3://penstock/"

_SQL = """
CREATE TEMPORARY TABLE numbers (n BIGINT) WITH (
  'connector' = 'kafka', 'topic' = '$SOURCE-in', 'properties.bootstrap.servers' = 'kafka.$SPACE.svc:9092',
  'properties.group.id' = '$JOB', 'scan.startup.mode' = 'earliest-offset', 'format' = 'json');
CREATE TEMPORARY TABLE sums (k BIGINT, c BIGINT, s BIGINT, n BIGINT, PRIMARY KEY (k) NOT ENFORCED) WITH (
  'connector' = 'upsert-kafka', 'topic' = '$JOB-out', 'properties.bootstrap.servers' = 'kafka.$SPACE.svc:9092',
  'key.format' = 'json', 'value.format' = 'json');
INSERT INTO sums SELECT MOD(n, $KEYS), COUNT(*), SUM(n), MAX(n) FROM numbers GROUP BY MOD(n, $KEYS);
"""
INCREMENTAL = {
    "state.backend.type": "rocksdb",
    "execution.checkpointing.incremental": "true",
    # Flink's default of 20 kB would put a state as small as this one into `_metadata`, and share nothing.
    "execution.checkpointing.data-inline-threshold": "100 b",
    "taskmanager.memory.managed.size": "128m",
    "taskmanager.memory.network.min": "64m",
    "taskmanager.memory.network.max": "64m",
}


def row_of(number: int) -> dict[str, int]:
    """The oracle: the row that the n-th number must make, from the number alone."""
    key, count = number % KEYS, number // KEYS + 1
    return {"k": key, "c": count, "s": count * key + KEYS * (count * (count - 1) // 2), "n": number}


@dataclass
class Batch:
    """Numbers that were fed: up to where, and between which times the job has taken them in."""

    end: int
    began: float
    seen: float


@dataclass
class Ledger:
    """The job, its topics, and how far the numbers go."""

    lab: Lab
    name: str = NAME
    """The StreamJob's, and of its topic of rows."""
    source: str = NAME
    """The StreamJob's that the topic of numbers is named after."""
    fed: int = 0
    rows: int = 0
    """End of the topic of rows."""
    batches: list[Batch] = field(default_factory=list)

    @property
    def sql(self) -> str:
        """The job's script."""
        return Template(_SQL).substitute(SOURCE=self.source, JOB=self.name, SPACE=self.lab.namespace, KEYS=KEYS)

    # ------------------------------------------------------------ numbers and rows

    def _in_pod(self, *arguments: object, seconds: float = 30) -> list[str]:
        bootstrap = f"kafka.{self.lab.namespace}.svc:9092"
        command = ("exec", "-i", "deploy/tools", "--", "python3", "-", bootstrap, *map(str, arguments))
        # kubectl, and Python in the pod, need some of their own.
        return self.lab.kubectl(*command, given=_SCRIPT, seconds=seconds + 20).splitlines()

    def make_topics(self) -> None:
        """Both topics."""
        self._in_pod("make", *{f"{self.source}-in", f"{self.name}-out"})

    def add(self, count: int) -> None:
        """Feed numbers without looking at what becomes of them."""
        self._in_pod("feed", f"{self.source}-in", self.fed, count)
        self.fed += count

    def feed(self, count: int) -> None:
        """Feed numbers, and wait until the running job has made their rows, which must be right."""
        began, first = time.time(), self.fed
        self.add(count)
        assert self.position() == first, "it has read a number again, or not at all"
        self.batches.append(Batch(self.fed, began, time.time()))

    def position(self, seconds: float = 30) -> int:
        """Where the job went on, from the rows since the last look: each right, each number once, up to the last."""
        asked = ("rows", f"{self.name}-out", self.rows, self.fed - 1, seconds)
        *lines, end = map(json.loads, self._in_pod(*asked, seconds=seconds))
        self.rows = end["end"]
        assert lines, "the job has made no rows"
        first = min(line["n"] for line in lines)
        wrong = [line for line in lines if line != row_of(line["n"])]
        assert not wrong, f"{len(wrong)} of {len(lines)} rows are wrong, such as {wrong[0]}: {row_of(wrong[0]['n'])}"
        assert sorted(line["n"] for line in lines) == list(range(first, self.fed))
        return int(first)

    def bounds(self, triggered: float, completed: float) -> range:
        """The positions that a checkpoint taken between two times may have; one only when nothing came meanwhile."""
        low = max((batch.end for batch in self.batches if batch.seen < triggered), default=0)
        high = max((batch.end for batch in self.batches if batch.began < completed), default=0)
        return range(low, high + 1)

    # ------------------------------------------------------------ Flink

    def flink(self, path: str) -> dict[str, Any]:
        """What the job's JobManager answers, below `/jobs/<run>`; straight to its pod."""
        [pod] = self.lab.pods("jobmanager", self.name)
        run = self.lab.job(self.name)["run"]["id"]
        with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8081/jobs/{run}{path}", timeout=10) as answer:
            return dict(json.load(answer))

    def history(self) -> list[dict[str, Any]]:
        """Flink's own checkpoints of the live run that are complete and kept, oldest first."""
        entries = self.flink("/checkpoints")["history"]
        kept = [each for each in entries if each["status"] == "COMPLETED" and not each["discarded"]]
        return sorted((each for each in kept if not each["is_savepoint"]), key=lambda each: each["id"])

    def until_checkpoint(self) -> None:
        """Wait for one of Flink's own checkpoints that was begun after this moment."""
        now = time.time() * 1000
        self.lab.until(
            "Flink has completed a checkpoint",
            lambda: any(each["trigger_timestamp"] > now for each in self.history()),
            30,
            every=0.2,
        )


# ---------------------------------------------------------------- the bucket


def metadata_files(lab: Lab, keys: dict[str, int]) -> dict[str, bytes]:
    """Every `_metadata` among some keys, by its directory (with the slash)."""
    s3 = lab.s3()
    states = [key for key in keys if key.endswith("/_metadata")]
    read_one = {key: s3.get_object(Bucket="penstock", Key=key)["Body"].read() for key in states}
    return {key.removesuffix("_metadata"): body for key, body in read_one.items()}


def files_of(directory: str, body: bytes) -> set[str]:
    """The keys of all files that a `_metadata` names."""
    named = needed(read([body], _BUCKET + directory.rstrip("/")).references)
    assert all(path.startswith(_BUCKET) for path in named)
    return {path.removeprefix(_BUCKET) for path in named}


def directory_of(checkpoint: dict[str, Any]) -> str:
    """Key prefix of a Checkpoint's own directory, with the slash."""
    return str(checkpoint["status"]["location"]).removeprefix(_BUCKET).rstrip("/") + "/"
