"""Offsets in a state, end to end: read out of real savepoints of real Flink, and compared with what real Kafka holds.

The topic is fed up to a time, and what the job has read then is known: the end of each partition. The unit tests hold
the reader against files that Flink 2.3 wrote (tests/data/metadata, scenarios `kafka…`); here it is the store, the
operator and the broker together.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from test_behaviours import stream_job
from test_replay import _SCRIPT, millis

from penstock.inventory.positions import read_positions
from penstock.store.client import Access, ObjectStore
from penstock.store.layout import Place
from penstock.verdict import Positions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.timeout(600)]

NAME, TOPIC, CONNECTION = "positions", "positions-in", "penstock-e2e-positions"
PARTITIONS, SHORTENED = 4, 2
SAVED, CUT, FED = "2013-02-01T00:00:00Z", "2013-02-10T00:00:00Z", "2013-03-01T00:00:00Z"
"""Up to where the topic is filled when the savepoints are taken, what is deleted later, and the end."""

SQL = f"""
CREATE TEMPORARY TABLE flights (origin STRING, delay INT) WITH (
  'connector' = 'kafka', 'topic' = '{TOPIC}', 'properties.bootstrap.servers' = 'kafka.@SPACE.svc:9092',
  'properties.group.id' = '{NAME}', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset');
CREATE TEMPORARY TABLE nowhere (origin STRING, flights BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO nowhere SELECT origin, COUNT(*) FROM flights GROUP BY origin;
"""  # noqa: S608 - our own text


@dataclass
class Reader:
    """The job, and its topic."""

    lab: Lab
    fed: int = 0

    def _in_pod(self, *arguments: object) -> str:
        bootstrap = f"kafka.{self.lab.namespace}.svc:9092"
        command = ("exec", "-i", "deploy/tools", "--", "python3", "-", bootstrap, *map(str, arguments))
        return self.lab.kubectl(*command, given=_SCRIPT, seconds=120).strip()

    def make_topic(self) -> None:
        self._in_pod("make", TOPIC, PARTITIONS)

    def feed(self, until: str) -> None:
        """The flights that were to leave before that time; all of them are in a checkpoint afterwards."""
        self.fed = int(self._in_pod("feed", TOPIC, PARTITIONS, self.fed, millis(until)))

    def saved(self) -> None:
        number = self.lab.newest(NAME)
        self.lab.until("checkpoints complete", lambda: self.lab.newest(NAME) > number + 3)

    def cut(self) -> None:
        """Delete what a partition has of before CUT, as retention does."""
        self._in_pod("cut", TOPIC, SHORTENED, millis(CUT))

    def positions(self, location: str) -> Positions | None:
        """As the operator reads them."""
        pod = self.lab.items("pods", labels="app.kubernetes.io/name=versitygw")[0]
        store = ObjectStore(
            Access(
                Place("penstock", "demo"),
                f"http://{pod['status']['podIP']}:7070",
                "us-east-1",
                True,  # noqa: FBT003
                self.lab.namespace,
                f"{self.lab.namespace}-secret",
            )
        )
        return asyncio.run(read_positions(store, location))

    def condition(self) -> tuple[str | None, str | None]:
        found = self.lab.condition("streamjob", NAME, "SourcesAtRisk")
        return found.get("status"), found.get("reason")


def connection(lab: Lab) -> dict[str, Any]:
    spec = {
        "kafka": {"bootstrapServers": [f"kafka.{lab.namespace}.svc:9092"]},
        "allowedNamespaces": {"names": [lab.namespace]},
    }
    kind = {"apiVersion": "penstock.dev/v1alpha1", "kind": "SourceConnection"}
    return kind | {"metadata": {"name": CONNECTION}, "spec": spec}


@pytest.fixture(scope="module", params=["inline", "in files"])
def reader(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Reader]:
    """The job when it has read what there is, with the splits of its source in `_metadata`, or in files beside it."""
    lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))  # the store alone
    made = Reader(lab)
    made.make_topic()
    made.feed(SAVED)
    lab.create_cluster_wide(connection(lab))
    sources = [{"name": "flights", "kafka": {"connection": CONNECTION, "topics": [TOPIC]}}]
    threshold = {"execution.checkpointing.data-inline-threshold": "1 b"} if request.param == "in files" else {}
    lab.create(stream_job(lab, NAME, SQL.replace("@SPACE", lab.namespace), sources=sources, configuration=threshold))
    lab.until("the job runs", lambda: lab.runs(NAME))
    made.saved()
    yield made
    lab.kubectl("delete", "streamjob", NAME, "--ignore-not-found", "--timeout=100s", seconds=110)
    own = [each["metadata"]["name"] for each in lab.checkpoints(NAME)]
    lab.kubectl("delete", "checkpoints", *own, "--timeout=100s", seconds=110)
    lab.kubectl("delete", "sourceconnection", CONNECTION, "--ignore-not-found", "--timeout=30s")
    made._in_pod("remove", TOPIC)


@pytest.mark.parametrize("form", ["Canonical", "Native"])
def test_the_positions_in_a_savepoint_are_what_the_job_had_read(reader: Reader, form: str) -> None:
    lab, name = reader.lab, f"whole-{form.lower()}"
    found = reader.positions(lab.take(name, NAME, format=form)["location"])
    ends = lab.ends(TOPIC)
    assert sum(ends) == reader.fed > 0
    assert found == Positions({(TOPIC, number): end for number, end in enumerate(ends)})


def test_the_positions_in_flinks_own_checkpoint_are_the_same(reader: Reader) -> None:
    lab = reader.lab

    def whole() -> Positions | None:
        """Flink keeps two, and makes one every 2 s: the one that is told of may be gone, or just be going."""
        read = reader.positions(lab.job(NAME)["latestCheckpoint"]["location"])
        return read if read is not None and not read.unread else None

    found = lab.until("a checkpoint could be read", whole, 30)
    assert found == Positions({(TOPIC, number): end for number, end in enumerate(lab.ends(TOPIC))})


def test_a_job_that_runs_is_watched(reader: Reader) -> None:
    reader.lab.until("the sources were measured", lambda: reader.condition() == ("False", "Held"), 150)


def test_a_restore_of_what_the_broker_has_deleted_is_refused_before_the_stop(reader: Reader) -> None:
    lab, position = reader.lab, reader.lab.ends(TOPIC)[SHORTENED]
    reader.feed(FED)
    reader.saved()
    reader.cut()
    run = lab.job(NAME)["run"]["id"]
    said = lab.penstock("restore", NAME, "--from", "whole-canonical", "--wait", expect=1)
    assert "SourceOffsetsExpired: whole-canonical goes on where the broker holds nothing any more: " in said
    assert f"spec.sources[flights].kafka: topic {TOPIC}, partition {SHORTENED}: the earliest offset is " in said
    assert f" after the wanted {position}" in said
    assert said.count("the earliest offset is") == 1, "of the other partitions nothing is gone"
    status = lab.job(NAME)
    assert (status["run"]["id"], status["state"], status.get("intent")) == (run, "Running", None)
    assert not lab.checkpoints(NAME, "Upgrade"), "the job was never stopped"


def test_a_user_can_have_it_all_the_same_and_is_told(reader: Reader) -> None:
    lab = reader.lab
    override = ("--override", "SourceOffsetsExpired")
    lab.penstock("restore", NAME, "--from", "whole-canonical", *override, "--wait", "--timeout", "3m", seconds=200)
    began = lab.job(NAME)["startedFrom"]
    assert began["checkpoint"] == "whole-canonical"
    assert f"partition {SHORTENED}: the earliest offset is" in began["reason"]
    events = lab.items("events", fields=f"involvedObject.name={NAME}")
    assert any(each["reason"] == "SourceOffsetsExpired" for each in events)
