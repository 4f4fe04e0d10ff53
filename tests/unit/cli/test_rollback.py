"""`penstock rollback`: what is written into the spec, what for Git, and what is refused with what to write instead."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.streamjob import StreamJob
from penstock.cli.shape import merge_patch, patched, shape
from penstock.decide.change import spec_hash
from penstock.errors import Stale
from tests.unit.builders import NAMESPACE, NOW, OLD_RUN, RUN, checkpoint, job, live
from tests.unit.builders import spec as plain
from tests.unit.cli.follower import Act, Desk, Make, settle, stall
from tests.unit.cli.test_history import version
from tests.unit.fakes import Manifest
from tests.unit.world import manifest

SQL = {"job": {"sql": {"script": "INSERT INTO a\nSELECT * FROM b;\n"}}, "flink": {"version": "2.3"}}
JAR = {
    "job": {"jar": {"uri": "local:///opt/flink/usrlib/job.jar", "args": ["--fast"]}},
    "flink": {"version": "2.3", "configuration": {"a": "1", "b": "2"}},
    "parallelism": 4,
    "taskManager": {"slots": 2, "replicas": 2},
    "podTemplate": {"labels": {"team": "x"}},
}


def wrote(name: str, number: int, version_: int, phase: str = "Present", minutes: int = 0, **more: Any) -> Manifest:
    """A Checkpoint that a version wrote so many minutes ago."""
    status = {"job_version": version_, "run": OLD_RUN} | more.pop("status", {})
    made = checkpoint(name, number, phase, status, created=NOW - timedelta(minutes=minutes), **more)
    return manifest(made)


def desk_of(make: Make, *checkpoints: Manifest, act: Act | None = None, **spec: Any) -> Desk:
    """A job whose version 1 was a script and whose version 2, a jar, runs; or what `spec` says."""
    now = job(live(job_version=2, run={"job_version": 2}), **({**JAR, "window": "1h"} | spec))
    return make(act, now, version(1, **SQL), version(2, **JAR), *checkpoints)


TWO = (wrote("older", 1, 1, minutes=20), wrote("newer", 2, 1, minutes=10), wrote("of-two", 3, 2))


def again(stored: Manifest) -> None:
    """A new run, started from what was asked for."""
    name = stored["spec"]["startFrom"]["checkpoint"]["name"]
    began = {"kind": "Checkpoint", "text": name, "time": "2026-01-31T12:00:00Z"}
    settle("Running", run=stored["status"]["run"] | {"id": "e" * 32}, startedFrom=began)(stored)


def test_the_shape_of_the_version_is_written_and_nothing_of_the_other_stays(make: Make) -> None:
    desk = desk_of(make, *TWO, state="Stopped", startFrom={"empty": {}})
    done = desk.run("rollback", "flights", "--to-version", "1")
    said = "version 1 of StreamJob flights from Checkpoint newer is to run\n"
    assert (done.exit_code, done.stdout, done.stderr) == (0, said, "")
    written = StreamJob.model_validate(desk.job).spec
    assert spec_hash(written) == spec_hash(job(**SQL).spec)
    spec = desk.job["spec"]
    assert (spec["job"], spec["flink"]["configuration"]) == ({"sql": SQL["job"]["sql"]}, {})
    assert "replicas" not in spec["taskManager"]
    assert (spec["startFrom"], spec["state"], spec["window"]) == ({"checkpoint": {"name": "newer"}}, "Running", "1h")
    assert len(spec["restartToken"]) == 32
    assert [call for call in desk.kube.calls if call[0] not in ("get", "find")] == [("merge", "StreamJob", "flights")]


def test_it_waits_until_it_runs_and_says_from_what(make: Make) -> None:
    done = desk_of(make, *TWO, act=again).run("rollback", "flights", "--to-version", "1", "--wait")
    said = "version 1 of StreamJob flights from Checkpoint newer: StreamJob flights runs, started from newer\n"
    assert (done.exit_code, done.stdout) == (0, said)
    assert done.stderr.endswith("Running\n")


@pytest.mark.parametrize(
    ("act", "code", "words"),
    [
        (stall("NotWhole", "a file is missing"), 1, "StreamJob flights: NotWhole: a file is missing"),
        (None, 3, "the operator goes on with it"),
    ],
)
def test_the_operators_refusal_and_the_end_of_patience(make: Make, act: Act | None, code: int, words: str) -> None:
    given_ = ["--to-version", "1", "--wait", "--timeout", "200ms"]
    done = desk_of(make, *TWO, act=act).run("rollback", "flights", *given_)
    assert (done.exit_code, words in done.stderr, done.stdout) == (code, True, "")


def test_a_named_checkpoint_may_be_of_any_version(make: Make) -> None:
    desk = desk_of(make, *TWO)
    assert desk.run("rollback", "flights", "--to-version", "1", "--from", "of-two").exit_code == 0
    assert desk.job["spec"]["startFrom"] == {"checkpoint": {"name": "of-two"}}


def test_print_is_what_would_be_written_and_writes_nothing(make: Make) -> None:
    desk = desk_of(make, *TWO, startFrom={"empty": {}})
    done = desk.run("rollback", "flights", "--to-version", "1", "--print")
    assert (done.exit_code, done.stderr) == (0, "")
    assert [call for call in desk.kube.calls if call[0] not in ("get", "find")] == []
    printed = yaml.safe_load(done.stdout)
    assert printed["metadata"] == {"name": "flights", "namespace": NAMESPACE}
    assert set(printed) == {"apiVersion", "kind", "metadata", "spec"}
    assert "      SELECT * FROM b;\n" in done.stdout  # a script stays one that can be read
    desk.run("rollback", "flights", "--to-version", "1")
    token = {"restartToken": desk.job["spec"]["restartToken"]}
    assert printed["spec"] | token == desk.job["spec"]


@pytest.mark.parametrize(
    ("given_", "code", "words"),
    [
        ((), 2, "Missing option '--to-version'"),
        (("--to-version", "0"), 2, "0 is not in the range"),
        (("--to-version", "1", "--print", "--wait"), 2, "--print changes nothing: leave --wait out"),
        (("--to-version", "7"), 1, "--to-version 7: StreamJob flights has no version 7; write one of 1, 2"),
        (("--to-version", "2"), 1, "--to-version 2: spec is that of version 2 already; to start it from one of its"),
        (("--to-version", "1", "--from", "nothing"), 1, f"there is no Checkpoint nothing in namespace {NAMESPACE}"),
        (
            ("--to-version", "1", "--from", "cleared"),
            1,
            "--from cleared: the Checkpoint is Cleared; write --from and one of: newer (version 1)",
        ),
    ],
)
def test_what_is_wrong_names_the_option_and_what_to_write(
    make: Make, given_: tuple[str, ...], code: int, words: str
) -> None:
    desk = desk_of(make, wrote("cleared", 1, 1, "Cleared"), wrote("newer", 2, 1))
    done = desk.run("rollback", "flights", *given_)
    assert (done.exit_code, words in done.stderr, done.stdout) == (code, True, "")
    assert [call for call in desk.kube.calls if call[0] not in ("get", "find")] == []


RETAINED = {"source": "Retained", "origin": {"run": RUN, "checkpointId": 4}}


@pytest.mark.parametrize(
    "not_there",
    [
        wrote("gone", 1, 1, "Cleared"),
        wrote("gone", 1, 1, "Failed"),
        wrote("gone", 1, 1, deleted=NOW),
        wrote("gone", 1, 1, status={"conditions": [{"type": "Deleting", "status": "True", "reason": "Retention"}]}),
        wrote("gone", 1, 1, status={"job_uid": "another"}),  # version 1 of an earlier job of that name
        wrote("gone", 1, 1, status={"run": RUN}, **RETAINED),  # Flink discards it when the run is stopped
    ],
)
def test_only_what_is_there_and_stays_is_started_from(make: Make, not_there: Manifest) -> None:
    words = "--to-version 1: no Checkpoint that version 1 wrote is there any more; "
    done = desk_of(make, not_there, wrote("b", 5, 2, minutes=9), wrote("c", 6, 2)).run(
        "rollback", "flights", "--to-version", "1"
    )
    assert (done.exit_code, words in done.stderr) == (1, True)
    assert "write --from and one of: c (version 2), " in done.stderr
    assert done.stderr.endswith("b (version 2)\n")
    earlier = not_there["status"]["jobUid"] == "another"
    assert ("gone (version 1 of an earlier flights)" in done.stderr, "gone" in done.stderr) == (earlier, earlier)


def test_without_any_checkpoint_it_says_so(make: Make) -> None:
    done = desk_of(make).run("rollback", "flights", "--to-version", "1")
    assert (done.exit_code, done.stderr.endswith("this job has none that is Present\n")) == (1, True)


def test_it_writes_only_onto_what_it_has_read(make: Make) -> None:
    """Somebody changes the spec in between: the difference is made anew of that."""
    desk = desk_of(make, *TWO)
    merge = desk.kube.merge
    tried = []

    async def merged(resource: Any, namespace: str | None, name: str, patch: Manifest) -> Manifest:
        tried.append(patch["metadata"]["resourceVersion"])
        if len(tried) == 1:
            desk.job["spec"]["flink"]["configuration"]["c"] = "3"
            desk.kube._put(resource, desk.job)
            raise Stale("409 Conflict")
        return await merge(resource, namespace, name, patch)

    desk.kube.merge = merged  # type: ignore[method-assign]
    assert desk.run("rollback", "flights", "--to-version", "1").exit_code == 0
    assert len(set(tried)) == 2
    assert desk.job["spec"]["flink"]["configuration"] == {}


def test_somebody_who_writes_all_the_time_ends_it(make: Make) -> None:
    desk = desk_of(make, *TWO)

    async def conflict(*_: Any) -> Manifest:
        raise Stale("409 Conflict")

    desk.kube.merge = conflict  # type: ignore[method-assign]
    done = desk.run("rollback", "flights", "--to-version", "1")
    assert (done.exit_code, done.stderr) == (1, "penstock: 409 Conflict\n")


# ---------------------------------------------------------------- the shape

LEAVES = st.one_of(st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=2))
VALUES = st.recursive(LEAVES, lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3), max_leaves=12)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@given(OBJECTS, OBJECTS)
def test_a_patch_makes_the_new_one_of_the_old_one_and_nothing_of_the_same(old: Any, new: Any) -> None:
    assert patched(old, merge_patch(old, new)) == new
    assert merge_patch(new, new) == {}


def test_the_shape_is_what_a_version_is_made_of_and_nothing_else() -> None:
    found = shape(job(**JAR, window="1h", checkpoints={"interval": "5m", "retention": {"numRetained": 9}}).spec)
    assert set(found) == {"flink", "job", "parallelism", "jobManager", "taskManager", "podTemplate", "checkpoints"}
    assert set(found["checkpoints"]) == {"interval", "timeout"}
    other = StreamJob.model_validate(
        {"metadata": {"name": "flights"}, "spec": patched(plain(), merge_patch(shape(job().spec), found))}
    ).spec
    assert spec_hash(other) == spec_hash(job(**JAR, checkpoints={"interval": "5m"}).spec)
