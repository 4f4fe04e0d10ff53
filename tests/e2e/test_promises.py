"""What a program does to what Penstock owns, and changes that cannot work: the job goes on, on a real Flink."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from test_behaviours import ENDLESS as PLAIN
from test_behaviours import stream_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.timeout(500)]

NAME, BATCH = "promised", "batch"
# What scripts of tutorials have, too: Flink's parser and ours must see the same statements.
ENDLESS = f"-- größe; 名称 🙂 it's\r\n/* ; 'x */{PLAIN}"
FOUR = {"pipeline.max-parallelism": "4"}
ANYTHING: dict[str, Any] = {"latest": {}, "override": ["ProgramFails"]}
NUMBERS = "CREATE TEMPORARY TABLE numbers"


def setting(key: str, value: str) -> str:
    return f"SET '{key}' = '{value}';\n{ENDLESS}"


def stalled(lab: Lab, name: str, reason: str, words: str = "") -> str:
    """The message, when the job is stalled for that reason and says these words."""
    found = lab.condition("streamjob", name, "Stalled")
    told = (found.get("status"), found.get("reason")) == ("True", reason)
    return str(found["message"]) if told and words in found["message"] else ""


@pytest.fixture(scope="module")
def promised(lab: Lab) -> Iterator[Lab]:
    lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))  # the store alone
    lab.create(stream_job(lab, NAME, ENDLESS, configuration=FOUR))
    lab.until("the job runs", lambda: lab.runs(NAME))
    lab.until("it has a checkpoint of its own", lambda: lab.completes(0, NAME))
    yield lab
    for name in (NAME, BATCH):
        lab.kubectl("delete", "streamjob", name, "--ignore-not-found", "--timeout=100s", seconds=110)


def refused(lab: Lab, spec: dict[str, Any], reason: str, *words: str) -> None:
    """The change is refused in these words, and the very same run goes on."""
    run = lab.job(NAME)["run"]["id"]
    lab.patch(spec, NAME)
    message = lab.until(f"it is refused: {words[0]}", lambda: stalled(lab, NAME, reason, words[0]))
    lab.say(message)
    assert all(each in message for each in words), message
    before = lab.newest(NAME)
    lab.until("it goes on", lambda: lab.newest(NAME) > before)
    assert lab.job(NAME)["run"]["id"] == run
    assert lab.checkpoints(NAME, "Upgrade") == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("execution.checkpointing.externalized-checkpoint-retention", "DELETE_ON_CANCELLATION"),
        ("execution.checkpointing.dir", "s3://penstock/elsewhere"),
        ("execution.state-recovery.path", "s3://penstock/elsewhere/savepoint-1"),
    ],
)
def test_a_script_that_changes_what_its_state_depends_upon(promised: Lab, key: str, value: str) -> None:
    """Seen: all state lost with a label; checkpoints where nobody looks; another job's state restored."""
    refused(promised, {"job": {"sql": {"script": setting(key, value)}}}, "ProgramFails", key)


@pytest.mark.parametrize(
    ("behind", "words"),
    [
        ("LEFT JOIN x ON 1=1;", ("Incorrect syntax near the keyword 'LEFT'", "line 7, column 1")),
        ("INSERT INTO missing SELECT 1;", ("missing",)),
        ("INSERT INTO nowhere SELECT id, CAST(1 AS BIGINT) FROM numbers;", ("more than one job", "STATEMENT SET")),
        ("SELECT * FROM numbers;", ("a SELECT without INSERT",)),
    ],
    ids=["a stray ;", "a missing table", "two INSERTs", "a SELECT"],
)
def test_what_is_wrong_behind_the_insert(promised: Lab, behind: str, words: tuple[str, ...]) -> None:
    """Seen: the job was stopped for it, ended after a second, and stayed down."""
    refused(promised, {"job": {"sql": {"script": f"{ENDLESS}{behind}\n"}}}, "ProgramFails", *words)


@pytest.mark.parametrize(
    "change",
    [{"parallelism": 8}, {"flink": {"configuration": {"pipeline.max-parallelism": "8"}}}],
    ids=["wider than the state", "another max parallelism"],
)
def test_a_state_that_cannot_be_split_so(promised: Lab, change: dict[str, Any]) -> None:
    """Seen: it was stopped, failed, and was taken back."""
    as_it_is = {"job": {"sql": {"script": ENDLESS}}, "parallelism": 1, "flink": {"configuration": FOUR}}
    refused(promised, as_it_is | change, "ParallelismTooHigh", "max parallelism" if "flink" in change else "split")
    promised.patch(as_it_is, NAME)
    promised.until("it is as it was", lambda: promised.runs(NAME))


def test_a_replay_that_the_script_does_not_hear(promised: Lab) -> None:
    """Seen: its state was dropped, and the script read from the beginning as ever."""
    refused(
        promised,
        {"startFrom": {"latest": None, "replay": {"from": "24h"}}},
        "ReplayIgnored",
        "spec.job.sql.script does not use ${penstock.source.startup-timestamp-millis}",
    )
    promised.patch({"startFrom": {"latest": {}, "replay": None}}, NAME)
    promised.until("it is as it was", lambda: promised.runs(NAME))


def test_a_program_that_fails_late_is_taken_back_in_flinks_words(promised: Lab) -> None:
    """Flink cancels the job of such a program: nobody else has."""
    lab = promised
    late = {"job": {"sql": {"script": f"{ENDLESS}LEFT JOIN x ON 1=1;\n"}}}
    lab.patch(late | {"startFrom": ANYTHING}, NAME)
    lab.until("it is taken back", lambda: stalled(lab, NAME, "RolledBack") and lab.job(NAME)["state"] == "Running")
    told = lab.job(NAME)["rolledBack"]["message"]
    lab.say(told)
    assert "the program failed after it had submitted its job: ParseException: Incorrect syntax near" in told
    began = lab.until("it is confirmed", lambda: (s := lab.job(NAME))["startedFrom"]["confirmed"] and s["startedFrom"])
    assert began["kind"] == "Checkpoint"


def test_a_catalog_is_not_changed_by_a_trial(promised: Lab) -> None:
    """What comes behind the statement is not tried; what is wrong with it is found when it runs, and taken back."""
    lab = promised
    script = ENDLESS.replace(NUMBERS, f"DROP TABLE lake.db.t;\n{NUMBERS}", 1)
    lab.patch({"job": {"sql": {"script": script}}, "startFrom": {"latest": {}, "override": None}}, NAME)
    lab.until(
        "it is taken back",
        lambda: lab.job(NAME).get("rolledBack", {}).get("jobVersion") == 3 and lab.job(NAME)["state"] == "Running",
    )
    checks = {each["name"]: each for each in lab.job(NAME)["restore"]["preflight"]["checks"]}
    assert checks["Program"]["result"] == "Unknown"
    assert "tried up to line 3 only: DROP TABLE lake.db.t" in checks["Program"]["message"]
    assert "lake" in lab.job(NAME)["rolledBack"]["message"]
    lab.patch({"job": {"sql": {"script": ENDLESS}}}, NAME)
    lab.until("it is as it was", lambda: lab.runs(NAME))


def test_a_refused_change_is_not_started_when_the_job_has_been_stopped(promised: Lab) -> None:
    """Seen: the next stop and start began what had been refused, and the job was Failed."""
    lab = promised
    refused_script = f"{ENDLESS}LEFT JOIN x ON 1=1;\n"
    before = len(lab.checkpoints(NAME, "Upgrade"))
    lab.patch({"job": {"sql": {"script": refused_script}}}, NAME)
    lab.until("it is refused", lambda: stalled(lab, NAME, "ProgramFails"))
    lab.patch({"state": "Stopped"}, NAME)
    lab.until("it is stopped", lambda: lab.job(NAME)["state"] == "Stopped")
    lab.patch({"state": "Running"}, NAME)
    message = lab.until("it is refused again", lambda: stalled(lab, NAME, "ProgramFails", "spec.restartToken"))
    assert "Incorrect syntax" in message
    assert lab.pods("jobmanager", NAME) == []
    assert len(lab.checkpoints(NAME, "Upgrade")) == before
    lab.patch({"job": {"sql": {"script": ENDLESS}}}, NAME)
    began = lab.until("it runs again", lambda: lab.runs(NAME))["startedFrom"]
    assert began["checkpoint"] == lab.checkpoints(NAME, "Stop")[0]["metadata"]["name"]
    lab.kubectl("delete", "streamjob", NAME, "--timeout=100s", seconds=110)


def test_a_job_that_takes_no_checkpoints_says_so_and_can_be_stopped(promised: Lab) -> None:
    """Batch mode. Seen: a stop that was refused for ever with Flink's raw message."""
    lab = promised
    script = "SET 'execution.runtime-mode' = 'batch';\n" + ENDLESS.replace(
        "'rows-per-second' = '50'", "'rows-per-second' = '50', 'number-of-rows' = '3000000'"
    )
    lab.create(stream_job(lab, BATCH, script))
    lab.until("it says so", lambda: lab.condition("streamjob", BATCH, "CheckpointsOverridden").get("status") == "True")
    assert lab.condition("streamjob", BATCH, "CheckpointsOverridden")["reason"] == "NoCheckpoints"
    kind = {"apiVersion": "penstock.dev/v1alpha1", "kind": "Checkpoint", "metadata": {"name": "never"}}
    lab.create(kind | {"spec": {"jobRef": {"name": BATCH}}})
    lab.until(
        "no savepoint can be taken", lambda: lab.get("checkpoint", "never").get("status", {}).get("phase") == "Failed"
    )
    assert lab.get("checkpoint", "never")["status"]["lastError"]["reason"] == "NoCheckpoints"
    lab.patch({"state": "Stopped"}, BATCH)
    message = lab.until("the stop is refused in words", lambda: stalled(lab, BATCH, "NoCheckpoints"))
    assert "onStop: LatestCheckpoint" in message
    lab.patch({"checkpoints": {"onStop": "LatestCheckpoint"}}, BATCH)
    lab.until("it is stopped", lambda: lab.job(BATCH)["state"] == "Stopped")
