"""Recoveries, end to end: what is told of them while they go on, beside what Flink and the broker say themselves.

One job reads the flights of a year with a window of an hour, from a topic of which each record has the time of its
flight. It is slow on purpose, by what it computes for each record: a year takes it half a minute for each subtask.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from returner import CONNECTION, NAME, PARTITIONS, SINK, SOURCE, YEAR, Returner, moment, script, sources
from test_behaviours import ENDLESS, stream_job
from test_replay import kafka

from demo import data

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

    from tests.scenarios import Figures

pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(600)]

_LATE = 10.0
"""Seconds that the condition may come after the backlog is really gone."""


@pytest.fixture(scope="module")
def returner(lab: Lab) -> Iterator[Returner]:
    """The job when it has read a whole year, started without state."""
    lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))  # the store alone
    lab.create_cluster_wide(kafka(lab) | {"metadata": {"name": CONNECTION}})
    made = Returner(lab)
    made.in_pod("make", SOURCE, PARTITIONS)
    made.in_pod("make", SINK, 1)
    made.in_pod("feed", SOURCE, PARTITIONS, 0, 1 << 50)
    manifest = stream_job(lab, NAME, script(lab), window="1h", sources=sources())
    manifest["spec"]["taskManager"]["slots"] = 3  # one JVM starts, whatever the parallelism
    lab.create(manifest)
    lab.until("the job runs", lambda: lab.runs(NAME))
    yield made
    lab.kubectl("delete", "streamjob", NAME, "--ignore-not-found", "--timeout=100s", seconds=110)
    lab.kubectl("delete", "sourceconnection", CONNECTION, "--ignore-not-found", "--timeout=30s")


def test_a_start_without_state_is_no_recovery(returner: Returner) -> None:
    assert returner.recovery() == {}
    assert returner.lab.condition("streamjob", NAME, "CaughtUp") == {}


@pytest.mark.scenario(
    "the first replay of a year: nobody knows how long it takes; then its speed is known", group="recovery"
)
def test_a_catch_up_is_told_while_it_goes_on(returner: Returner, figures: Figures) -> None:
    lab = returner.lab
    lab.penstock("replay", NAME, "--from", YEAR)
    seen = returner.look_on("")
    last = seen.last
    assert last["cause"] == "Replay"
    assert last["estimateAtStart"]["text"] == "nobody knows: the job's speed has not been measured yet"
    assert last["backlogAtStart"] == len(data.load()) + PARTITIONS
    assert lab.job(NAME)["capacity"]["recordsPerSecond"] > 0
    assert seen.percents() == sorted(seen.percents())
    assert seen.percents()[-1] == 100
    assert len(set(seen.percents())) >= 4, seen.percents()
    assert min(seen.pauses()) >= 5, seen.pauses()
    late = seen.caught_up_at - seen.gone_at
    assert seen.gone_at > 0
    assert late < _LATE, late
    figures(f"{seen.phases()}, CaughtUp {late:.1f} s after the backlog was gone, {last['actual']}")


RUNS = ((2, 0),)
"""Parallelism, and records per second that arrive."""
MORE_RUNS = ((1, 0), (1, 500), (2, 1000), (3, 2000))
"""All five are held by `tests/unit/decide/test_estimates_hold.py` over looks at a job of known speeds, too."""


def again(returner: Returner, token: str, **spec: Any) -> str:
    """Ask for the same replay once more; when the recovery before it began."""
    begun = str(returner.recovery().get("startedAt", ""))
    start = {"latest": None, "replay": {"from": YEAR}}
    returner.lab.patch({"startFrom": start, "restartToken": token, **spec}, NAME)
    return begun


def measured(returner: Returner) -> None:
    """Its speed is known: where it has never been measured, by a first replay."""
    if "capacity" not in returner.lab.job(NAME):
        returner.lab.penstock("replay", NAME, "--from", YEAR)
        returner.look_on("")


@pytest.mark.parametrize(
    ("parallelism", "rate"), [*RUNS, *(pytest.param(*each, marks=pytest.mark.exhaustive) for each in MORE_RUNS)]
)
@pytest.mark.scenario("the estimate made before, and what it took", group="recovery")
def test_the_estimate_is_within_a_factor_of_two(
    returner: Returner, figures: Figures, parallelism: int, rate: int
) -> None:
    lab = returner.lab
    measured(returner)
    with returner.rate(rate):
        before = sum(lab.ends(SOURCE))
        seen = returner.look_on(again(returner, f"{parallelism}-{rate}", parallelism=parallelism), rate=rate)
    last = seen.last
    expected, actual = last["estimateAtStart"]["seconds"], last["actual"]["seconds"]
    ratio, late = expected / actual, seen.caught_up_at - seen.gone_at
    # The arrival of the last five minutes, most of which nothing arrived in: it is no measure where it has just begun.
    before_the_stop = lab.job(NAME)["restore"]["preflight"]["estimate"]["seconds"]
    figures(
        f"parallelism {parallelism}, {rate} records/s arrive: estimate {expected} s, actual {actual} s, "
        f"ratio {ratio:.2f}; before the stop {before_the_stop} s; CaughtUp {late:.1f} s after the backlog was gone"
    )
    assert 0.5 <= ratio <= 2
    assert rate or 0.5 <= before_the_stop / actual <= 2
    assert seen.percents() == sorted(seen.percents())
    assert last["percent"] == 100
    assert seen.gone_at > 0
    assert late < _LATE, late
    assert last["backlogAtStart"] >= before


@pytest.mark.scenario("a TaskManager is killed in the middle of the year", group="recovery")
def test_a_killed_task_manager_is_told_with_cause_phases_and_backlog(returner: Returner, figures: Figures) -> None:
    lab = returner.lab
    # Rare checkpoints: the one that it goes on from is the one whose offsets were committed just before the kill.
    slow = {"job": {"sql": {"script": script(lab, 3500)}}}
    begun = again(returner, "killed", parallelism=1, checkpoints={"interval": "10s"}, **slow)
    lab.until("it is in the middle of the year", lambda: _percent(returner, begun) > 25, every=0.2)
    begun = returner.recovery()["startedAt"]
    before = returner.committed()
    committed = lab.until(
        "a checkpoint is complete", lambda: (now := returner.committed()) != before and now, every=0.1
    )
    killed_at = datetime.now(UTC)
    lab.kill("taskmanager", NAME)
    seen = returner.look_on(begun)
    last = seen.last
    assert last["cause"] == "TaskManagerFailure", last
    assert last["why"]
    assert seen.phases()[0] == "Restarting"
    assert seen.phases()[-2:] == ["CatchingUp", "CaughtUp"]
    late = (moment(last["startedAt"]) - killed_at).total_seconds()
    assert -2 <= late < 20, "Flink notices it when the connection ends"
    times = [moment(last[each]) for each in ("startedAt", "stateRestoredAt", "caughtUpAt")]
    assert times == sorted(times)
    # The source commits what a checkpoint has.
    assert last["backlogAtStart"] == sum(lab.ends(SOURCE)) - committed
    figures(f"noticed {late:.0f} s after the kill; {last['backlogAtStart']} records, {last['actual']}; {last['why']}")


def _percent(returner: Returner, begun: str) -> int:
    told = returner.recovery()
    return int(told.get("percent", 0)) if told.get("startedAt") != begun else 0


@pytest.mark.exhaustive
@pytest.mark.scenario("more arrives than the job reads: never, and with more subtasks an end", group="recovery")
def test_an_arrival_above_the_capacity_is_said_and_parallelism_mends_it(returner: Returner, figures: Figures) -> None:
    lab = returner.lab
    slow = {"job": {"sql": {"script": script(lab, 6000)}}}
    # Machines differ: it arrives as fast as one subtask was last seen to read what costs about half as much.
    known = next(each["recordsPerSecond"] for each in lab.job(NAME)["capacities"] if each["readers"] == 1)
    rate = round(0.85 * known)
    with returner.rate(rate):
        again(returner, "slow", parallelism=1, **slow)
        never = lab.until(
            "it never catches up", lambda: "never" in (told := returner.recovery()).get("outlook", "") and told, 240
        )
        assert never["text"].endswith(", never"), never
        assert "estimatedCompletion" not in never
        assert 0.8 * rate < never["arrivalPerSecond"] < 1.2 * rate
        assert never["recordsPerSecond"] < never["arrivalPerSecond"]
        lab.patch({"parallelism": 2, "startFrom": {"latest": {}, "replay": None}}, NAME)
        lab.until("the upgrade comes back", lambda: returner.recovery()["cause"] == "Upgrade", 240)
        # What arrives is cheaper than the flights: when those are read it may be there before its pace is known.
        mended = lab.until("it has an end", lambda: _ends(told := returner.recovery()) and told, 240)
    figures(f"{never['outlook']}; with 2 subtasks {mended['text']}")


def _ends(told: dict[str, Any]) -> bool:
    return "estimatedCompletion" in told or told["phase"] == "CaughtUp"


# ---------------------------------------------------------------- other jobs


PLAIN = """
CREATE TEMPORARY TABLE flights (origin STRING) WITH (
  'connector' = 'kafka', 'topic' = '@SOURCE', 'properties.bootstrap.servers' = 'kafka.@SPACE.svc:9092',
  'properties.group.id' = 'plain', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset');
CREATE TEMPORARY TABLE nowhere (origin STRING) WITH ('connector' = 'blackhole');
INSERT INTO nowhere SELECT origin FROM flights;
"""


@pytest.mark.exhaustive
@pytest.mark.scenario(
    "a job without windows, and one whose source is nobody's, lose their TaskManager", group="recovery"
)
def test_what_jobs_without_windows_or_without_a_source_say_is_true(returner: Returner, figures: Figures) -> None:
    lab = returner.lab
    lab.patch({"state": "Stopped"}, NAME)
    plain = PLAIN.replace("@SOURCE", SOURCE).replace("@SPACE", lab.namespace)
    lab.create(stream_job(lab, "plain", plain, sources=sources()))
    lab.create(stream_job(lab, "made-up", ENDLESS))
    names_ = ("plain", "made-up")
    try:
        for name in names_:
            lab.until(f"{name} runs", lambda name=name: lab.runs(name))
            lab.until("it has a checkpoint of its own", lambda name=name: lab.completes(1, name))
            lab.kill("taskmanager", name)
        found = [
            lab.until(f"{name} is back", lambda name=name: (r := returner.recovery(name)).get("actual") and r)
            for name in names_
        ]
        conditions = [lab.condition("streamjob", name, "CaughtUp") for name in names_]
    finally:
        lab.kubectl("delete", "streamjob", *names_, "--timeout=100s", seconds=110)
    assert [each["cause"] for each in found] == ["TaskManagerFailure"] * 2
    assert [each["replay"] for each in found] == ["no replay is needed: spec.window declares no window"] * 2
    assert [each["measuredBy"] for each in found] == ["Offsets", "Nothing"]
    assert (found[0]["percent"], found[0]["backlogRecords"]) == (100, 0)
    assert not {"percent", "backlogRecords", "lagSeconds"} & set(found[1]), found[1]
    assert [each["status"] for each in conditions] == ["True", "Unknown"]
    assert "no backlog can be told" in conditions[1]["message"]
    figures("; ".join(each["text"] for each in found))
