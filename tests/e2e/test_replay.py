"""Replays, end to end: one script for fresh starts, restores, replays and a backfill, against the flights of a year.

The records lie in the topic with the time of their flight, so that Kafka finds a place by it. FROM and TO are in the
middle of an hour on purpose: the window that FROM is in is only whole because the sources begin earlier by the
look-back, the one before it is partial and must not come out, and neither must the one that TO is in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_behaviours import stream_job

from demo import check, data, oracle
from demo.data import HOUR_MILLIS
from penstock import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

    from demo.oracle import Key, Window
    from demo.topic import Record
    from tests.scenarios import Figures

pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.timeout(600)]

NAME = "replayer"
SOURCE, SINK = "replayer-in", "replayer-out"
PARTITIONS = 4
FROM, TO = "2013-07-01T00:30:00Z", "2013-07-08T12:30:00Z"
BEGIN = "2013-06-30T23:30:00Z"
"""FROM without the look-back of `spec.window`."""
HALT = "2013-07-01T00:20:00Z"
"""Up to there the topic is filled at first: within the look-back, in the middle of the first window of the output."""
CONNECTION = "penstock-e2e-kafka"
CUT, SHORTENED = "2013-07-03T00:00:00Z", 2
"""From when on one partition still has its records, at the end of the story."""
_SCRIPT = Path(__file__).with_name("flights_in_pod.py").read_text()

SQL = """
SET 'table.local-time-zone' = 'UTC';
CREATE TEMPORARY TABLE flights (
  event_time BIGINT, origin STRING, delay INT,
  departs_at AS TO_TIMESTAMP_LTZ(event_time, 3),
  WATERMARK FOR departs_at AS departs_at - INTERVAL '1' MINUTE
) WITH (
  'connector' = 'kafka', 'topic' = '@SOURCE', 'properties.bootstrap.servers' = 'kafka.@SPACE.svc:9092',
  'properties.group.id' = 'replayer', 'format' = 'json',
  'scan.startup.mode' = '${penstock.source.startup-mode}',
  'scan.startup.timestamp-millis' = '${penstock.source.startup-timestamp-millis}',
  'scan.bounded.mode' = '${penstock.source.bounded-mode}',
  'scan.bounded.timestamp-millis' = '${penstock.source.bounded-timestamp-millis}');
CREATE TEMPORARY TABLE hourly (
  origin STRING, window_start TIMESTAMP(3), flights BIGINT, departures BIGINT, delay_sum BIGINT, delay_mean DOUBLE
) WITH (
  'connector' = 'kafka', 'topic' = '@SINK', 'properties.bootstrap.servers' = 'kafka.@SPACE.svc:9092',
  'properties.transaction.timeout.ms' = '600000', 'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = '@SINK', 'sink.transaction-naming-strategy' = 'pooling',
  'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
INSERT INTO hourly
SELECT origin, window_start, flights, departures, delay_sum,
  CAST(delay_sum AS DOUBLE) / CAST(departures AS DOUBLE)
FROM (
  SELECT origin, window_start, window_end, COUNT(*) AS flights, COUNT(delay) AS departures,
    SUM(CAST(delay AS BIGINT)) AS delay_sum
  FROM TABLE(TUMBLE(TABLE flights, DESCRIPTOR(departs_at), INTERVAL '1' HOUR))
  WHERE origin <> 'END'
  GROUP BY origin, window_start, window_end)
WHERE window_end > TIMESTAMP '${penstock.replay.output-from}'
  AND window_end <= TIMESTAMP '${penstock.replay.output-to}';
"""


def millis(time: str) -> int:
    return int(datetime.fromisoformat(time).astimezone(UTC).timestamp() * 1000)


def expected(first: str, last: str = "9999-12-31T23:59:59Z") -> dict[Key, Window]:
    """The oracle's windows that end after `first` and not after `last`, each of them whole."""
    whole = oracle.windows(data.load())
    return {key: window for key, window in whole.items() if millis(first) < key.hour + HOUR_MILLIS <= millis(last)}


@dataclass
class Replayer:
    """The job, its topics, and what of the output has been looked at."""

    lab: Lab
    name: str = NAME
    source: str = SOURCE
    sink: str = SINK
    fed: int = 0
    seen: int = 0
    """So many rows of the output were there before; it has one partition."""

    def _in_pod(self, *arguments: object) -> str:
        bootstrap = f"kafka.{self.lab.namespace}.svc:9092"
        command = ("exec", "-i", "deploy/tools", "--", "python3", "-", bootstrap, *map(str, arguments))
        return self.lab.kubectl(*command, given=_SCRIPT, seconds=120).strip()

    def make_topics(self) -> None:
        self._in_pod("make", self.source, PARTITIONS)
        self._in_pod("make", self.sink, 1)

    def feed(self, until: str) -> None:
        """The flights that were to leave before that time."""
        self.fed = int(self._in_pod("feed", self.source, PARTITIONS, self.fed, millis(until)))

    def rows(self) -> list[Record]:
        """The committed rows since the last `forget`."""
        return self.lab.read(self.sink)[self.seen :]

    def forget(self) -> None:
        """Rows that are there now are of an earlier part of the story; nothing writes while this is asked."""
        self.seen = len(self.lab.read(self.sink))

    def report(self, windows: dict[Key, Window]) -> check.Report:
        return check.compare(windows, self.rows())

    def until_out(self, windows: dict[Key, Window]) -> str:
        """Wait until all of these are out; see that there is nothing else, and nothing twice. How many, in words."""
        self.lab.until("every window is committed", lambda: not self.report(windows).missing, 120, every=2)
        self.saved()
        report = self.report(windows)
        self.lab.say(report.describe())
        assert report.exactly_once, report.describe()
        return f"{report.windows_total:,} windows equal, none missing, extra or twice"

    def saved(self) -> None:
        """Wait until all that there is has certainly been read and is in a checkpoint, and with it what is put out."""
        number = self.lab.newest(self.name)
        self.lab.until("checkpoints complete", lambda: self.lab.newest(self.name) > number + 3)

    def replay(self) -> dict[str, Any]:
        """`status.startedFrom.replay`, without what was not said."""
        return dict(self.lab.job(self.name)["startedFrom"].get("replay") or {})


@pytest.fixture(scope="module")
def replayer(lab: Lab) -> Iterator[Replayer]:
    """The job, started without a replay, when it has read what there is."""
    lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))  # the store alone
    made = Replayer(lab)
    made.make_topics()
    made.feed(HALT)
    sql = SQL.replace("@SOURCE", SOURCE).replace("@SINK", SINK).replace("@SPACE", lab.namespace)
    lab.create(stream_job(lab, NAME, sql, window="1h"))
    lab.until("the job runs", lambda: lab.runs(NAME))
    yield made
    lab.kubectl("delete", "sourceconnection", CONNECTION, "--ignore-not-found", "--timeout=30s")
    lab.kubectl("delete", "streamjob", NAME, "--ignore-not-found", "--timeout=100s", seconds=110)


TIMES = {"outputFrom": FROM, "sourceStart": BEGIN, "onGap": "Refuse"}


def test_without_a_replay_the_script_reads_all_and_puts_all_out(replayer: Replayer) -> None:
    status = replayer.lab.job(NAME)
    assert (status["startedFrom"]["kind"], replayer.replay()) == ("Empty", {})
    # The watermark has passed 00:00, not 01:00: what ends after that is still open.
    replayer.until_out(expected("1970-01-01T00:00:00Z", "2013-07-01T00:00:00Z"))


@pytest.mark.scenario(
    "replay from the middle of the year with a look-back of 1 h: nothing of the look-back comes out", group="replay"
)
def test_a_replay_begins_with_its_look_back_and_puts_nothing_out_of_it(replayer: Replayer) -> None:
    lab = replayer.lab
    before = lab.job(NAME)["run"]["id"]
    replayer.forget()
    said = lab.penstock("replay", NAME, "--from", FROM, "--wait", "--timeout", "3m", seconds=200)
    assert said == f"StreamJob {NAME} runs, started from replay from {FROM}\n"
    assert lab.job(NAME)["startedFrom"]["kind"] == "Replay"
    assert replayer.replay() == TIMES
    [saved] = lab.checkpoints(NAME, "Upgrade")
    assert saved["status"]["phase"] == "Present", "the state that was left is kept"
    assert (saved["status"]["run"], saved["status"].get("replay")) == (before, None)
    replayer.saved()
    assert replayer.rows() == [], "23:00 is closed by now, and partial: it was read from 23:30 on"


@pytest.mark.scenario(
    "a failure within the look-back, HA metadata gone, too: every window from that time on equals the oracle",
    group="replay",
)
def test_a_failure_within_the_look_back_keeps_the_times_and_no_partial_window_comes_out(
    replayer: Replayer, figures: Figures
) -> None:
    lab = replayer.lab
    run, number = lab.job(NAME)["run"]["id"], lab.latest(NAME)
    lab.kubectl("delete", "configmaps", "-l", names.high_availability_selector(NAME, run))
    lab.kill("jobmanager", NAME)
    lab.until("without HA metadata a new run starts", lambda: (lab.job(NAME).get("run") or {}).get("id") != run)
    began = lab.until("the new run runs", lambda: lab.runs(NAME))["startedFrom"]
    assert (began["kind"], began["run"]) == ("Retained", run)
    assert began["checkpointId"] >= number
    assert replayer.replay() == TIMES
    left = [each for each in lab.checkpoints(NAME, "Retained") if (each.get("status") or {}).get("run") == run]
    assert left
    assert all(each["status"]["replay"] == each["spec"]["origin"]["replay"] == TIMES for each in left)
    assert replayer.rows() == []
    replayer.feed("9999-12-31T23:59:59Z")
    figures(replayer.until_out(expected(FROM)))


def test_its_checkpoints_carry_the_times_across_a_stop(replayer: Replayer) -> None:
    lab = replayer.lab
    lab.penstock("checkpoint", NAME, "--name", "of-the-replay", "--wait")
    assert lab.get("checkpoint", "of-the-replay")["status"]["replay"] == TIMES
    lab.penstock("stop", NAME, "--wait")
    [stop] = lab.checkpoints(NAME, "Stop")
    assert stop["status"]["replay"] == TIMES
    lab.penstock("start", NAME, "--wait")
    assert (lab.job(NAME)["startedFrom"]["kind"], replayer.replay()) == ("Checkpoint", TIMES)


@pytest.mark.scenario(
    "a replay from the future, or from before a declared retention: refused, the job runs on", group="replay"
)
def test_a_replay_that_cannot_be_leaves_the_job_running(replayer: Replayer) -> None:
    lab = replayer.lab
    run = lab.job(NAME)["run"]["id"]
    said = lab.penstock("replay", NAME, "--from", "2999-01-01T00:00:00Z", "--wait", expect=1)
    assert "TimeInTheFuture: spec.startFrom.replay.from: 2999-01-01T00:00:00Z has not come yet" in said
    lab.patch({"sources": [{"name": "flights", "generic": {"retention": "720h"}}]}, NAME)
    said = lab.penstock("replay", NAME, "--from", FROM, "--wait", expect=1)
    assert "SourceRetentionTooShort: spec.sources[flights].generic.retention" in said
    status = lab.job(NAME)
    assert (status["run"]["id"], status["state"], replayer.replay()) == (run, "Running", TIMES)


@pytest.mark.scenario("a backfill up to a time ends by itself: every window equals the oracle", group="replay")
def test_a_backfill_ends_by_itself_with_whole_windows_only(replayer: Replayer, figures: Figures) -> None:
    """`sources` still says that too little is kept; with onGap Warn it begins all the same."""
    lab = replayer.lab
    replayer.forget()
    span = ("--from", FROM, "--to", TO, "--on-gap", "Warn")
    said = lab.penstock("replay", NAME, *span, "--wait", "--timeout", "4m", seconds=260)
    assert said == f"StreamJob {NAME} has finished its replay from {FROM} to {TO}\n"
    assert replayer.replay() == TIMES | {"to": TO, "onGap": "Warn"}
    report = replayer.report(expected(FROM, TO))
    assert report.exactly_once, report.describe()
    figures(f"{report.windows_total:,} windows equal, none missing, extra or twice")
    events = lab.items("events", fields=f"involvedObject.name={NAME}")
    assert any(each["reason"] == "SourceRetentionTooShort" for each in events)


@pytest.mark.scenario("a restore after a backfill goes back into the line of its checkpoint", group="replay")
def test_a_restore_after_it_goes_back_into_the_line_of_its_checkpoint(replayer: Replayer) -> None:
    lab = replayer.lab
    replayer.forget()
    said = lab.penstock("restore", NAME, "--from", "of-the-replay", "--wait")
    assert said == f"StreamJob {NAME} runs, started from of-the-replay\n"
    assert replayer.replay() == TIMES
    replayer.saved()
    assert replayer.rows() == [], "it had put all of its windows out"


def kafka(lab: Lab) -> dict[str, Any]:
    """How the operator reaches the broker."""
    spec = {
        "kafka": {"bootstrapServers": [f"kafka.{lab.namespace}.svc:9092"]},
        "allowedNamespaces": {"names": [lab.namespace]},
    }
    kind = {"apiVersion": "penstock.dev/v1alpha1", "kind": "SourceConnection"}
    return kind | {"metadata": {"name": CONNECTION}, "spec": spec}


def is_ready(lab: Lab) -> bool:
    return bool(lab.condition("sourceconnection", CONNECTION, "Ready").get("status") == "True")


@pytest.mark.scenario(
    "a partition that no longer reaches back: refused with partition and time, the job was never stopped",
    group="replay",
)
def test_what_the_broker_no_longer_has_is_refused_before_the_job_is_stopped(replayer: Replayer) -> None:
    lab = replayer.lab
    lab.create_cluster_wide(kafka(lab))
    lab.until(
        "the broker answers", lambda: lab.condition("sourceconnection", CONNECTION, "Ready").get("status") == "True"
    )
    lab.patch({"sources": [{"name": "flights", "kafka": {"connection": CONNECTION, "topics": [SOURCE]}}]}, NAME)
    run, saved = lab.job(NAME)["run"]["id"], lab.checkpoints(NAME, "Upgrade")
    replayer._in_pod("cut", SOURCE, SHORTENED, millis(CUT))
    first = next(
        flight.event_time
        for number, flight in enumerate(data.load())
        if number % PARTITIONS == SHORTENED and flight.event_time >= millis(CUT)
    )
    said = lab.penstock("replay", NAME, "--from", FROM, "--wait", expect=1)
    since = datetime.fromtimestamp(first / 1000, UTC).isoformat().replace("+00:00", "Z")
    assert "SourceRetentionTooShort: spec.sources[flights].kafka: " in said
    assert f"topic {SOURCE}, partition {SHORTENED}: there are records from {since} on" in said, said
    assert said.count("there are records from") == 1, "of the other partitions nothing is gone"
    status = lab.job(NAME)
    assert (status["run"]["id"], status["state"], status.get("intent")) == (run, "Running", None)
    assert len(lab.checkpoints(NAME, "Upgrade")) == len(saved), "the job was never stopped"


@pytest.mark.scenario("a replay of what that topic still holds: every window equals the oracle", group="replay")
def test_a_replay_of_what_there_still_is_begins(replayer: Replayer, figures: Figures) -> None:
    lab = replayer.lab
    replayer.forget()
    later = "2013-07-03T02:30:00Z"
    lab.penstock("replay", NAME, "--from", later, "--wait", "--timeout", "3m", seconds=200)
    figures(replayer.until_out(expected(later)))
