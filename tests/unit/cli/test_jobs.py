"""`penstock stop`, `start`, `restore`, `checkpoint`, `list` and `describe`, with a cluster and an operator of dicts."""

from __future__ import annotations

import json

import pytest

from penstock.api.start_from import Override
from penstock.cli.jobs import OVERRIDES
from penstock.errors import Refused
from tests.unit.builders import BEFORE, NAMESPACE, checkpoint, ended, job, live, retained, savepoint, started_from
from tests.unit.cli.follower import Act, Desk, Make, settle, stall
from tests.unit.fakes import Manifest
from tests.unit.world import manifest

# ---------------------------------------------------------------- stop and start


def test_stop_writes_the_state_and_no_more(make: Make) -> None:
    desk = make()
    done = desk.run("stop", "flights")
    assert (done.exit_code, done.stdout) == (0, "StreamJob flights is to stop\n")
    assert desk.job["spec"]["state"] == "Stopped"
    assert [call[0] for call in desk.kube.calls if call[0] != "get"] == ["merge"]


def test_stop_waits_and_names_the_checkpoint(make: Make) -> None:
    run = live()["run"].model_dump(mode="json", by_alias=True, exclude_none=True) | {"stopCheckpoint": "flights-stop"}
    done = make(settle("Stopped", run=run)).run("stop", "flights", "--wait")
    assert (done.exit_code, done.stdout) == (0, "StreamJob flights is stopped, with Checkpoint flights-stop\n")
    assert done.stderr == "Running\nStopped\n"


def test_stop_says_why_the_operator_cannot(make: Make) -> None:
    done = make(stall("SavepointFailed", "it expired; tried again")).run("stop", "flights", "--wait")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.endswith("penstock: StreamJob flights: SavepointFailed: it expired; tried again\n")


def test_what_is_not_done_in_time_has_an_exit_code_of_its_own(make: Make) -> None:
    done = make().run("stop", "flights", "--wait", "--timeout", "50ms")
    assert done.exit_code == 3
    assert "the operator goes on with it" in done.stderr


def test_what_was_so_before_the_change_does_not_count(make: Make) -> None:
    stored = job(live(state="Stopped"))
    assert make(None, stored).run("stop", "flights", "--wait", "--timeout", "50ms").exit_code == 3


def test_start_waits_for_ready(make: Make) -> None:
    desk = make(settle("Running"), job(live(started_from(savepoint(1), text="before")), state="Stopped"))
    done = desk.run("start", "flights", "--wait")
    assert (done.exit_code, done.stdout) == (0, "StreamJob flights runs, started from before\n")
    assert desk.job["spec"]["state"] == "Running"


# ---------------------------------------------------------------- restore


def again(stored: Manifest) -> None:
    """A new run, started from `before`."""
    run = stored["status"]["run"] | {"id": "e" * 32}
    settle("Running", run=run, startedFrom={"kind": "Checkpoint", "text": "before", "time": "2026-01-31T12:00:00Z"})(
        stored
    )


def test_restore_names_the_checkpoint_and_nothing_else_stays_in_startfrom(make: Make) -> None:
    desk = make(again, job(live(), startFrom={"empty": {}}))
    done = desk.run("restore", "flights", "--from", "before", "--wait")
    assert (done.exit_code, done.stdout) == (0, "StreamJob flights runs, started from before\n")
    spec = desk.job["spec"]
    assert (spec["startFrom"], spec["state"]) == ({"checkpoint": {"name": "before"}}, "Running")
    assert len(spec["restartToken"]) == 32


def test_the_run_before_does_not_count_as_restored(make: Make) -> None:
    done = make(settle("Running")).run("restore", "flights", "--from", "before", "--wait", "--timeout", "100ms")
    assert done.exit_code == 3


def test_restore_as_of_a_time_with_an_override(make: Make) -> None:
    desk = make()
    given = ["--as-of", "2026-01-31T12:00:00+01:00", "--override", "NotWhole"]
    assert desk.run("restore", "flights", *given).exit_code == 0
    assert desk.job["spec"]["startFrom"] == {"asOf": {"time": "2026-01-31T11:00:00Z"}, "override": ["NotWhole"]}


def test_restore_takes_a_replay_that_stood_there_away(make: Make) -> None:
    desk = make(None, job(live(), startFrom={"replay": {"from": "24h"}}))
    assert desk.run("restore", "flights", "--from", "before").exit_code == 0
    assert desk.job["spec"]["startFrom"] == {"checkpoint": {"name": "before"}}


# ---------------------------------------------------------------- replay


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (["--from", "24h"], {"from": "24h"}),
        (["--from", "90m"], {"from": "1h30m"}),
        (["--from", "7d", "--lookback", "1d12h"], {"from": "168h", "lookback": "36h"}),
        (["--from", "2026-01-31T12:00:00+01:00"], {"from": "2026-01-31T11:00:00Z"}),
        (
            ["--from", "24h", "--to", "2026-01-31T12:00:00Z", "--lookback", "0s", "--on-gap", "Warn"],
            {"from": "24h", "to": "2026-01-31T12:00:00Z", "lookback": "0s", "onGap": "Warn"},
        ),
    ],
)
def test_replay_writes_what_was_said_and_no_defaults(make: Make, given: list[str], written: Manifest) -> None:
    """Nothing stays of what stood there, be it another replay."""
    old = {"from": "1h", "to": "2026-01-30T12:00:00Z", "lookback": "5m", "onGap": "Warn", "state": "Discard"}
    for stood in ({"checkpoint": {"name": "before"}, "override": ["NotWhole"]}, {"replay": old}):
        desk = make(None, job(live(), startFrom=stood, state="Stopped"))
        done = desk.run("replay", "flights", *given)
        assert (done.exit_code, done.stdout) == (0, "StreamJob flights is to run\n")
        assert (desk.job["spec"]["startFrom"], desk.job["spec"]["state"]) == ({"replay": written}, "Running")
        assert len(desk.job["spec"]["restartToken"]) == 32


def replayed(state: str) -> Act:
    """A new run, of a replay, that has come to this state."""

    def act(stored: Manifest) -> None:
        run = stored["status"]["run"] | {"id": "e" * 32}
        began = {"kind": "Replay", "text": "replay from 2026-01-30T12:00:00Z", "time": "2026-01-31T12:00:00Z"}
        settle(state, run=run, startedFrom=began)(stored)

    return act


def test_replay_waits_until_it_runs(make: Make) -> None:
    done = make(replayed("Running")).run("replay", "flights", "--from", "24h", "--wait")
    said = "StreamJob flights runs, started from replay from 2026-01-30T12:00:00Z\n"
    assert (done.exit_code, done.stdout) == (0, said)


@pytest.mark.parametrize(("state", "code"), [("Finished", 0), ("Running", 3)])
def test_a_backfill_is_waited_for_to_its_end(make: Make, state: str, code: int) -> None:
    given = ["--from", "24h", "--to", "2026-01-31T11:00:00Z", "--wait", "--timeout", "200ms"]
    done = make(replayed(state)).run("replay", "flights", *given)
    said = "StreamJob flights has finished its replay from 2026-01-30T12:00:00Z\n" if code == 0 else ""
    assert (done.exit_code, done.stdout) == (code, said)


def test_a_run_that_had_finished_before_does_not_count(make: Make) -> None:
    given = ["--from", "24h", "--to", "2026-01-31T11:00:00Z", "--wait", "--timeout", "100ms"]
    assert make(settle("Finished"), job(ended("FINISHED"))).run("replay", "flights", *given).exit_code == 3


def test_replay_says_why_it_is_refused(make: Make) -> None:
    done = make(stall("TimeInTheFuture", "it has not come yet")).run("replay", "flights", "--from", "1h", "--wait")
    assert (done.exit_code, "TimeInTheFuture: it has not come yet" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "--from"),
        (["--from", "yesterday"], "is no time"),
        (["--from", "2026-01-31T12:00:00"], "has no time zone"),
        (["--from", "1h", "--to", "1h"], "is no time"),
        (["--from", "1h", "--lookback", "a day"], "is not a duration"),
        (["--from", "1h", "--on-gap", "Ignore"], "Ignore"),
    ],
)
def test_a_wrong_replay_is_said_before_anything_is_asked(make: Make, given: list[str], words: str) -> None:
    desk = make()
    done = desk.run("replay", "flights", *given)
    assert (done.exit_code, words in done.stderr, desk.kube.calls) == (2, True, [])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "one of --from and --as-of is needed"),
        (["--from", "a", "--as-of", "2026-01-31T12:00:00Z"], "one of --from and --as-of is needed"),
        (["--as-of", "yesterday"], "is no time"),
        (["--as-of", "2026-01-31T12:00:00"], "has no time zone"),
        (["--from", "a", "--timeout", "soon"], "soon"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_asked(make: Make, given: list[str], words: str) -> None:
    desk = make()
    done = desk.run("restore", "flights", *given)
    assert (done.exit_code, words in done.stderr, desk.kube.calls) == (2, True, [])


@pytest.mark.parametrize(
    "command", [["stop"], ["start"], ["restore", "--from", "a"], ["replay", "--from", "1h"], ["checkpoint"]]
)
def test_a_job_that_is_not_there(make: Make, command: list[str]) -> None:
    done = make().run(command[0], "other", *command[1:])
    assert (done.exit_code, done.stderr) == (1, f"penstock: there is no StreamJob other in namespace {NAMESPACE}\n")


def test_a_user_without_the_right(make: Make) -> None:
    desk = make()

    def forbidden(verb: str, _kind: str, _name: str) -> None:
        if verb == "merge":
            raise Refused('streamjobs "flights" is forbidden', "Forbidden", 403)

    desk.kube.before = forbidden
    assert desk.run("stop", "flights").stderr == 'penstock: streamjobs "flights" is forbidden\n'


# ---------------------------------------------------------------- checkpoint


def test_checkpoint_makes_one_with_what_was_said_and_no_defaults(make: Make) -> None:
    desk = make()
    done = desk.run("checkpoint", "flights", "--name", "now", "--description", "before the move", "--pin")
    assert (done.exit_code, done.stdout) == (0, "Checkpoint now is to be taken\n")
    made = desk.kube.of("Checkpoint")["now"]
    assert made["spec"] == {"jobRef": {"name": "flights"}, "description": "before the move", "pinned": True}


def test_checkpoint_has_a_name_of_its_own(make: Make) -> None:
    desk = make()
    assert desk.run("checkpoint", "flights", "--format", "Native").exit_code == 0
    [(name, made)] = desk.kube.of("Checkpoint").items()
    assert name.startswith("flights-20")
    assert made["spec"] == {"jobRef": {"name": "flights"}, "format": "Native"}


def test_a_name_that_is_taken(make: Make) -> None:
    done = make(None, None, manifest(checkpoint("now"))).run("checkpoint", "flights", "--name", "now")
    assert (done.exit_code, "there is a Checkpoint now" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        ({"phase": "Present"}, 0, "Checkpoint now is Present"),
        (
            {"phase": "Failed", "lastError": {"time": "2026-01-31T12:00:00Z", "reason": "x", "message": "it expired"}},
            1,
            "Checkpoint now is Failed: it expired",
        ),
        ({"phase": "Timeout", "settled": False}, 3, "the operator goes on with it"),
    ],
)
def test_checkpoint_waits_for_the_end(make: Make, status: Manifest, code: int, words: str) -> None:
    desk = make()

    def before(verb: str, kind: str, _name: str) -> None:
        if (verb, kind) == ("get", "Checkpoint"):
            desk.kube.of("Checkpoint")["now"]["status"] = dict(status)

    desk.kube.before = before
    done = desk.run("checkpoint", "flights", "--name", "now", "--wait", "--timeout", "200ms")
    assert (done.exit_code, words in done.stdout + done.stderr) == (code, True)


# ---------------------------------------------------------------- list and describe


def full(make: Make) -> Desk:
    kept = [{"checkpoint_id": number, "location": retained(number), "completion_time": BEFORE} for number in (8, 7)]
    texts = {"duration_text": "1.2 s", "size_text": "48 MiB"}
    own = {"location": retained(7), "target_directory": None}
    return make(
        None,
        job(live(retained_checkpoints=kept)),
        manifest(checkpoint("older", 1, "Present", texts, description="before the move")),
        manifest(checkpoint("chk", 7, "Present", own, source="Retained")),
        manifest(checkpoint("waiting", 3)),
    )


def test_list_shows_what_there_is_and_in_parentheses_what_has_no_object(make: Make) -> None:
    done = full(make).run("list", "flights")
    assert done.exit_code == 0
    header, *rows = done.stdout.splitlines()
    assert header.split()[:6] == ["NAME", "JOB", "SOURCE", "STATUS", "VERIFIED", "TRIGGERED"]
    assert {row.split()[0] for row in rows} == {"older", "chk", "waiting", "(chk-8)"}
    assert next(row for row in rows if row.startswith("older")).endswith(
        "1.2 s      48 MiB   1         before the move"
    )


def test_list_of_a_namespace_and_of_nothing(make: Make) -> None:
    assert len(json.loads(full(make).run("list", "-o", "json").stdout)["checkpoints"]) == 3
    assert make().run("list").stdout == f"no Checkpoints in namespace {NAMESPACE}\n"


def test_describe_tells_every_field_with_its_path(make: Make) -> None:
    done = full(make).run("describe", "flights")
    assert done.exit_code == 0
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "StreamJob: flights" in lines
    assert "run.confirmed: true" in lines
    assert f"retainedCheckpoints[1].location: {retained(7)}" in lines


def test_describe_finds_a_checkpoint_and_says_when_there_is_neither(make: Make) -> None:
    desk = full(make)
    assert json.loads(desk.run("describe", "older", "-o", "json").stdout)["kind"] == "Checkpoint"
    done = desk.run("describe", "nothing")
    assert (done.exit_code, "no StreamJob or Checkpoint nothing" in done.stderr) == (1, True)


def test_a_stopped_job_is_described_as_it_is(make: Make) -> None:
    done = make(None, job(ended("STOPPED", state="Stopped"))).run("describe", "flights", "-o", "yaml")
    assert "state: Stopped" in done.stdout


def test_the_refusals_that_can_be_overridden_are_those_of_the_api():
    assert set(OVERRIDES) == set(Override)
