"""`penstock history` and `penstock diff`: what is drawn of a job's past, and what of it nobody knows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.act.jobs import record_run
from penstock.api.history import RUN_PREFIX, RunRecord, record_of
from penstock.build import run as build
from penstock.decide.change import spec_hash
from penstock.model import RecordRun
from penstock.observe.kubernetes import revisions_of
from tests.unit.builders import (
    NOW,
    OLD_RUN,
    RUN,
    checkpoint,
    ended,
    job,
    live,
    retained,
    savepoint,
    started_from,
)
from tests.unit.cli.follower import Desk, Make
from tests.unit.fakes import Manifest
from tests.unit.world import FakeWorld, manifest, seen

FIRST = "c" * 32
ELSEWHERE = "s3://checkpoints/team/flights/other-1/savepoints/x/savepoint-dddddd-1"


def version(number: int, *runs: tuple[str, dict[str, Any]], **change: Any) -> Manifest:
    """A ControllerRevision with the records of its runs."""
    of = job(**change)
    made = build.revision(of.metadata, number, spec_hash(of.spec), of.spec)
    made["metadata"]["creationTimestamp"] = "2026-01-30T08:00:00Z"
    for run, record in runs:
        made["metadata"]["annotations"][RUN_PREFIX + run] = RunRecord.model_validate(record).model_dump_json(
            by_alias=True
        )
    return made


def past(make: Make) -> Desk:
    """Version 1 ran, and was upgraded; version 2 failed; its user went back to what version 1 had left."""
    first = {"kind": "Empty", "text": "Empty", "startedAt": "2026-01-30T08:00:00Z", "endedAt": "2026-01-30T10:00:00Z"}
    second = {"kind": "Checkpoint", "text": "up", "checkpoint": "up", "location": savepoint(2), "run": FIRST}
    second |= {"startedAt": "2026-01-30T10:00:01Z", "endedAt": "2026-01-30T11:00:00Z"}
    began = started_from(savepoint(1), checkpoint="before", text="before", run=FIRST)
    status = live(began, job_version=3, run={"job_version": 3})
    wrote = {"run": FIRST, "size_text": "48 MiB"}
    return make(
        None,
        job(status),
        version(1, (FIRST, first | {"endState": "STOPPED"})),
        version(2, (OLD_RUN, second | {"endState": "FAILED"}), parallelism=2),
        version(3),
        manifest(checkpoint("before", 1, "Present", wrote, description="before the move", pinned=True)),
        manifest(checkpoint("up", 2, "Cleared", {"run": FIRST}, source="Upgrade", origin={"run": FIRST})),
        manifest(checkpoint("newest", 3, "Present", {"run": RUN, "job_version": 3}, created=NOW)),
    )


def test_runs_stand_below_the_checkpoint_that_they_came_from(make: Make) -> None:
    done = past(make).run("history", "flights")
    assert (done.exit_code, done.stderr) == (0, "")
    head, versions, tree = done.stdout.strip().split("\n\n")
    assert head == "StreamJob flights, Running: version 3, run aaaaaaaa"
    assert [line.split() for line in versions.splitlines()[1:]] == [
        ["1", "2026-01-30T08:00:00Z", "cccccccc"],
        ["2", "2026-01-30T08:00:00Z", "bbbbbbbb"],
        ["3", "2026-01-30T08:00:00Z", "1", "aaaaaaaa"],
    ]
    assert tree.splitlines() == [
        "RUN OR CHECKPOINT    VERSION   STATUS    TIME                   WHAT",
        "run cccccccc         1         STOPPED   2026-01-30T08:00:00Z   started empty, ended 2026-01-30T10:00:00Z",
        "├─ before                      Present   2026-01-31T11:59:01Z   Manual, 48 MiB, pinned, before the move",
        "│  └─ run aaaaaaaa   3         lives     2026-01-31T11:00:00Z",
        "│     └─ newest                Present   2026-01-31T12:00:01Z   Manual",
        "└─ up                          Cleared   2026-01-31T11:59:01Z   Upgrade",
        "   └─ run bbbbbbbb   2         FAILED    2026-01-30T10:00:01Z   ended 2026-01-30T11:00:00Z",
    ]


async def test_what_the_operator_records_is_what_history_reads() -> None:
    """A record goes through the operator's own executor, and comes back whole."""
    world: Any = FakeWorld(version(1))
    began = started_from(savepoint(1), checkpoint="before", run=OLD_RUN, checkpoint_id=1, text="before", reason="asked")
    run = job(ended("STOPPED", run={"stop_reason": "Stop"})).status.run
    assert run is not None
    record = record_of(run, began)
    await record_run(world, seen(job=job()), RecordRun("flights-v1", RUN, record))
    [found] = await revisions_of(world.kube, job().metadata)
    assert found.runs == {RUN: record}


def content(desk: Desk) -> Any:
    done = desk.run("history", "flights", "-o", "json")
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_json_has_the_links_by_name_and_by_id(make: Make) -> None:
    told = content(past(make))
    assert (told["version"], told["run"]) == (3, RUN)
    links = {run["id"]: (run["from"]["kind"], run["from"]["checkpoint"]) for run in told["runs"]}
    assert links == {FIRST: ("Empty", ""), OLD_RUN: ("Checkpoint", "up"), RUN: ("Checkpoint", "before")}
    assert {each["name"]: each["run"] for each in told["checkpoints"]} == {"before": FIRST, "up": FIRST, "newest": RUN}
    assert [each["sameAs"] for each in told["versions"]] == [None, None, 1]


def test_a_run_that_nobody_has_recorded_is_there_with_an_unknown_start(make: Make) -> None:
    desk = make(None, None, version(1), manifest(checkpoint("old", 1, "Present", {"run": OLD_RUN})))
    told = next(run for run in content(desk)["runs"] if run["id"] == OLD_RUN)
    assert (told["from"]["kind"], told["startedAt"], told["end"], told["version"]) == ("Unknown", "", "", 1)
    shown = desk.run("history", "flights").stdout
    assert "run bbbbbbbb        1         Unknown" in shown
    assert "nobody has recorded what it started from" in shown


def test_a_checkpoint_that_is_gone_stays_in_its_place(make: Make) -> None:
    gone = started_from(savepoint(9), checkpoint="gone", text="gone", run=FIRST)
    empty = {"kind": "Empty", "text": "Empty", "startedAt": "2026-01-30T08:00:00Z"}
    shown = make(None, job(live(gone)), version(1, (FIRST, empty))).run("history", "flights").stdout
    lines = [line[:20].rstrip() for line in shown.split("\n\n")[2].splitlines()[1:]]
    assert lines == ["run cccccccc", "└─ gone", "   └─ run aaaaaaaa"]
    assert "Deleted" in shown


def test_a_name_that_was_used_again_is_another_checkpoint(make: Make) -> None:
    """The run came from the one that had the name before; that is told by its location."""
    began = started_from(savepoint(9), checkpoint="before", text="before", run=OLD_RUN)
    told = content(make(None, job(live(began)), version(1), manifest(checkpoint("before", 1, "Present"))))
    assert sorted((each["status"], each["location"]) for each in told["checkpoints"]) == [
        ("Deleted", savepoint(9)),
        ("Present", savepoint(1)),
    ]


def test_one_of_flinks_own_that_has_no_checkpoint_is_not_called_deleted(make: Make) -> None:
    began = started_from(retained(7, OLD_RUN), kind="Retained", text="chk-7 of bbbbbbbb", run=OLD_RUN)
    [told] = content(make(None, job(live(began)), version(1)))["checkpoints"]
    assert (told["name"], told["status"], told["run"]) == ("chk-7 of bbbbbbbb", "NotListed", OLD_RUN)


def test_a_fork_says_of_which_job_it_is(make: Make) -> None:
    of_other = {"location": ELSEWHERE, "run": "d" * 32, "job_uid": "other"}
    theirs = manifest(checkpoint("theirs", 5, "Present", of_other, jobRef={"name": "other"}))
    record = {"kind": "Checkpoint", "text": "theirs", "checkpoint": "theirs", "location": ELSEWHERE, "run": "d" * 32}
    desk = make(None, job(live(started_from(ELSEWHERE, checkpoint="theirs"))), version(1, (RUN, record)), theirs)
    told = content(desk)
    assert [(each["name"], each["job"]) for each in told["checkpoints"]] == [("theirs", "other")]
    assert [run["id"] for run in told["runs"]] == [RUN]  # theirs is not a run of this job
    assert "of StreamJob other" in desk.run("history", "flights").stdout


def test_the_runs_of_an_earlier_job_of_that_name_are_not_of_this_ones_versions(make: Make) -> None:
    old = {"run": OLD_RUN, "job_uid": "another"}
    desk = make(None, None, version(1), manifest(checkpoint("old", 1, "Present", old)))
    told = content(desk)
    assert told["versions"][0]["runs"] == [RUN]
    assert "1 of an earlier flights" in desk.run("history", "flights").stdout


def test_objects_that_name_each_other_in_a_circle_are_drawn_once(make: Make) -> None:
    began = started_from(savepoint(1), checkpoint="before", text="before", run=RUN)
    shown = make(None, job(live(began)), version(1), manifest(checkpoint("before", 1, "Present"))).run(
        "history", "flights"
    )
    assert (shown.exit_code, shown.stdout.count("run aaaaaaaa "), shown.stdout.count("before ")) == (0, 1, 1)


def test_a_job_that_never_ran(make: Make) -> None:
    done = make(None, job({})).run("history", "flights")
    assert (done.exit_code, done.stdout) == (0, "StreamJob flights, Pending: no run yet\n")


def test_an_ended_run_tells_its_end(make: Make) -> None:
    told = content(make(None, job(ended("FINISHED")), version(1)))
    assert [(run["end"], run["live"]) for run in told["runs"]] == [("FINISHED", False)]


# ---------------------------------------------------------------- diff

SCRIPT = "INSERT INTO a\nSELECT * FROM b;\n"


def versions(make: Make) -> Desk:
    old, new = {"job": {"sql": {"script": SCRIPT}}}, {"job": {"sql": {"script": SCRIPT.replace("*", "x")}}}
    more = {"taskManager": {"slots": 2}}
    kept = {"checkpoints": {"retention": {"numRetained": 9}}}
    return make(
        None, None, version(1, **old), version(2, **old, **more), version(3, **new, **more), version(4, **old, **kept)
    )


def test_diff_shows_a_script_line_by_line(make: Make) -> None:
    done = versions(make).run("diff", "flights", "2", "3")
    assert done.exit_code == 0
    unified, fields, needs = done.stdout.strip().split("\n\n")
    assert unified.splitlines()[:2] == ["--- flights version 2", "+++ flights version 3"]
    assert [line for line in unified.splitlines()[2:] if line[0] in "+-"] == [
        "-        SELECT * FROM b;",
        "+        SELECT x FROM b;",
    ]
    assert fields.splitlines()[1] == "job.sql.script   a restart as spec.checkpoints.onUpgrade says"
    assert needs == "From version 2 to 3 needs a restart as spec.checkpoints.onUpgrade says"


@pytest.mark.parametrize(
    ("pair", "restart", "fields"),
    [
        (("1", "2"), "NewPods", [("taskManager.slots", "NewPods")]),
        (("1", "3"), "Version", [("job.sql.script", "Version"), ("taskManager.slots", "NewPods")]),
        (("1", "4"), "", []),  # how many are kept makes no version
        (("2", "2"), "", []),
    ],
)
def test_diff_says_what_a_change_needs(make: Make, pair: tuple[str, str], restart: str, fields: Any) -> None:
    told = json.loads(versions(make).run("diff", "flights", *pair, "-o", "json").stdout)
    assert (told["from"], told["to"], told["restart"]) == (int(pair[0]), int(pair[1]), restart)
    assert [(each["field"], each["change"]) for each in told["fields"]] == fields
    assert bool(told["diff"]) == bool(fields)


def test_versions_that_are_the_same_say_so(make: Make) -> None:
    said = "From version 1 to 4 needs nothing: they are the same\n"
    assert versions(make).run("diff", "flights", "1", "4").stdout == said


def test_a_field_that_came_later_is_no_difference(make: Make) -> None:
    """A version that an older operator has recorded lacks it; it had the default."""
    older = version(1)
    del older["data"]["spec"]["parallelism"], older["data"]["spec"]["taskManager"]
    told = json.loads(make(None, None, older, version(2)).run("diff", "flights", "1", "2", "-o", "json").stdout)
    assert (told["fields"], told["diff"]) == ([], "")


@pytest.mark.parametrize(
    ("pair", "code", "words"),
    [
        (("1", "7"), 1, "V2 7: StreamJob flights has no version 7; write one of 1, 2, 3, 4"),
        (("9", "1"), 1, "V1 9: StreamJob flights has no version 9"),
        (("0", "1"), 2, "0 is not in the range"),
        (("one", "1"), 2, "'one' is not a valid integer"),
    ],
)
def test_diff_says_what_to_write_instead(make: Make, pair: tuple[str, str], code: int, words: str) -> None:
    done = versions(make).run("diff", "flights", *pair)
    assert (done.exit_code, words in done.stderr, done.stdout) == (code, True, "")


def test_a_version_that_cannot_be_read_names_its_field(make: Make) -> None:
    broken = version(1)
    broken["data"]["spec"]["parallelism"] = "many"
    done = make(None, None, broken, version(2)).run("diff", "flights", "1", "2")
    assert (done.exit_code, "version 1 of StreamJob flights cannot be read: spec.parallelism: " in done.stderr) == (
        1,
        True,
    )
