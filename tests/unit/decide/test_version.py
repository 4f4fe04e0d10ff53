"""A start from what the job's Flink cannot read is refused, before and after the stop, and for that reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from penstock.api import constants
from penstock.decide.version import READS
from penstock.flink.metadata import UnknownVersionError, read
from penstock.model import Observed
from penstock.verdict import Verification
from tests.unit.builders import (
    FITS,
    NOW,
    WHOLE,
    ended,
    good_programs,
    idle,
    job,
    listing,
    live,
    observed,
    savepoint,
    started_from,
    stored,
)
from tests.unit.decide.moves import Moves, moves
from tests.unit.decide.test_preflight import answered as tried
from tests.unit.decide.test_preflight import record, results, seen
from tests.unit.decide.test_verification import BROKEN, NAMED, STORED, answered, present, restoring, starting
from tests.unit.flink.metadata import writer

NEWER = Verification(unreadable="expected a version from 3 to 6, found version 7", version=7)
CUT_OFF = Verification(unreadable="it is cut off")
SOURCE = {"name": "events", "retention": "24h"}


def overridden(*reasons: str) -> dict[str, Any]:
    return {"startFrom": NAMED["startFrom"] | {"override": list(reasons)}}


def written_by(version: str | None, of: Observed) -> Observed:
    """The Checkpoint says which Flink wrote it, or does not; its `_metadata` is good."""
    return answered(replace(of, checkpoints=(present(status={"flink_version": version}),)), WHOLE)


# ---------------------------------------------------------------- its _metadata


@pytest.mark.parametrize("version", [7, 1, 0, -1])
def test_a_job_is_not_stopped_for_a_metadata_that_its_flink_does_not_know(version: int):
    found = moves(answered(restoring(), replace(NEWER, version=version)))
    assert (found.intent, found.stalled) == ("", "VersionNotReadable")
    message = found.condition("Stalled").message
    assert f"in version {version}, and Flink 2.3 reads 2 to 6" in message
    assert "override: [VersionNotReadable]" in message
    assert "The job runs on" in message


LATEST = idle(job(ended("STOPPED")), checkpoints=(present(),), listing=STORED, verified={})
BACK = {"job_version": 1, "spec_hash": "x", "started_from": started_from(savepoint(1))}
BACK_AGAIN = idle(
    job(ended("FAILED", fallback=BACK, latest_checkpoint=None)),
    checkpoints=(present(),),
    listing=listing(stored(savepoint(1), 1)),
    verified={},
)


@pytest.mark.parametrize("of", [starting(), LATEST, BACK_AGAIN], ids=["named", "latest", "gone back to"])
def test_nothing_is_started_from_it_either(of: Observed):
    found = moves(answered(of, NEWER))
    assert (found.intent, found.stalled) == ("", "VersionNotReadable")
    assert moves(answered(of, WHOLE)).intent == "Start"


@pytest.mark.parametrize(
    ("override", "found", "refused"),
    [
        ("VersionNotReadable", NEWER, ""),
        ("NotWhole", NEWER, "VersionNotReadable"),
        ("ParallelismTooHigh", NEWER, "VersionNotReadable"),
        ("VersionNotReadable", BROKEN, "NotWhole"),
        ("VersionNotReadable", CUT_OFF, "NotWhole"),
        ("NotWhole", CUT_OFF, ""),
    ],
)
def test_each_refusal_is_overridden_alone(override: str, found: Verification, refused: str):
    for of, begins in ((restoring, "Stop Savepoint"), (starting, "Start")):
        after = moves(answered(of(overridden(override)), found))
        assert (after.intent, after.stalled) == ("" if refused else begins, refused)


def test_one_that_flink_reads_and_penstock_does_not_is_refused_for_that():
    found = moves(answered(restoring(), replace(NEWER, version=2)))
    assert (found.intent, found.stalled) == ("", "NotWhole")


def test_who_insists_on_missing_files_still_waits_for_what_else_is_wrong_unless_nobody_can_say():
    assert moves(starting(overridden("NotWhole"))).intent == ""
    assert moves(answered(starting(overridden("NotWhole")), "the store does not answer")).intent == "Start"


# ---------------------------------------------------------------- who wrote it


@pytest.mark.parametrize("by", ["2.4", "2.10", "3.0.1"])
def test_what_a_newer_flink_has_written_is_refused_when_a_user_names_it(by: str):
    before, after = moves(written_by(by, restoring())), moves(written_by(by, starting()))
    assert (before.intent, before.stalled) == ("", "VersionNotReadable")
    assert (after.intent, after.stalled) == ("", "VersionNotReadable")
    assert f"was written by Flink {by}" in before.condition("Stalled").message
    assert results(before)["Version"] == "Failed"
    insists = overridden("VersionNotReadable")
    assert moves(written_by(by, restoring(insists))).intent == "Stop Savepoint"
    assert moves(written_by(by, starting(insists))).intent == "Start"


@pytest.mark.parametrize("by", ["2.3", "2.3.1", "2.2", "1.20", "unknown", None])
def test_what_the_same_or_an_older_one_or_nobody_knows_who_has_written_is_not(by: str | None):
    assert moves(written_by(by, restoring())).intent == "Stop Savepoint"
    assert moves(written_by(by, starting())).intent == "Start"


def test_the_next_start_from_latest_is_not_refused_for_it():
    """As for the parallelism: the job was stopped for the change, and goes back when Flink refuses it."""
    assert moves(written_by("2.4", LATEST)).intent == "Start"


# ---------------------------------------------------------------- the row


def rows(of: Moves) -> dict[str, tuple[str, str, str]]:
    return {each.name: (each.result.value, each.reason, each.message) for each in record(of).checks}


def test_an_unknown_version_is_not_called_a_broken_file():
    found = moves(answered(restoring(NAMED | {"sources": [SOURCE]}), NEWER))
    assert results(found) == {
        "State": "Passed",
        "Files": "Unknown",
        "Version": "Failed",
        "Parallelism": "Unknown",
        "Sources": "Unknown",
    }
    assert rows(found)["Version"][1] == "VersionNotReadable"
    broken = moves(answered(restoring(), CUT_OFF))
    assert (results(broken)["Files"], results(broken)["Version"]) == ("Failed", "Unknown")


def test_an_overridden_one_says_so_and_nobody_knows_its_operators():
    found = moves(answered(restoring(overridden("VersionNotReadable")), NEWER))
    assert results(found) == {
        "State": "Passed",
        "Files": "Unknown",
        "Version": "Overridden",
        "Parallelism": "Unknown",
        "Sources": "Skipped",
        "Program": "Unknown",
        "Operators": "Unknown",
    }
    assert found.events.count("PreflightUnknown") == 1


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("2.3", "written by Flink 2.3 in metadata version 6, which Flink 2.3 reads"),
        (None, "in metadata version 6, which Flink 2.3 reads"),
    ],
)
def test_a_good_one_says_who_wrote_it_as_far_as_it_is_known(by: str | None, message: str):
    of = seen({}, annotations={constants.PREFLIGHT: "before 1"}, checkpoints=(present(status={"flink_version": by}),))
    assert rows(tried(of, FITS))["Version"] == ("Passed", "", message)


def test_a_dry_run_tells_it_of_another_version():
    asks = job(live())
    asks = asks.model_copy(
        update={"metadata": asks.metadata.model_copy(update={"annotations": {constants.PREFLIGHT: "before 1"}})}
    )
    of = observed(asks, checkpoints=(present(),), listing=STORED)
    of = replace(of, verified={savepoint(1): replace(of.verified[savepoint(1)], verification=NEWER)})
    found = moves(replace(of, now=NOW, programs=good_programs(of)))
    assert (found.intent, found.stalled) == ("", "")
    assert results(found)["Version"] == "Failed"


def test_no_state_has_no_version():
    of = restoring({"startFrom": {"empty": {}}})
    assert results(moves(replace(of, programs=good_programs(of))))["Version"] == "Skipped"


# ---------------------------------------------------------------- what is known of Flink


def test_it_is_known_of_each_flink_that_can_be_asked_for():
    assert set(READS) == set(constants.SUPPORTED_FLINK_VERSIONS)


@pytest.mark.parametrize("version", [-1, 0, 1, 2, 7, 8])
def test_the_reader_tells_a_version_that_it_does_not_know_from_a_broken_file(version: int):
    with pytest.raises(UnknownVersionError) as error:
        read([writer.head(version)], "s3://b/k")
    assert error.value.version == version
