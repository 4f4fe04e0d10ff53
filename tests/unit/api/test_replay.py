"""The times of a replay, and what a job is told of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from penstock.api.base import dump
from penstock.api.replay import NAMES, Replay, variables
from penstock.api.start_from import ReplayWish, StartFrom

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
WHOLE = Replay(output_from=NOW - timedelta(hours=24), source_start=NOW - timedelta(hours=25), to=NOW)
ENDLESS = WHOLE.model_copy(update={"to": None})


def test_without_a_replay_one_script_reads_all_and_puts_all_out():
    assert variables() == {
        "penstock.source.startup-mode": "earliest-offset",
        "penstock.source.startup-timestamp-millis": "0",
        "penstock.source.bounded-mode": "unbounded",
        "penstock.source.bounded-timestamp-millis": "0",
        "penstock.replay.output-from": "1970-01-01 00:00:00.000",
        "penstock.replay.output-from-millis": "0",
        "penstock.replay.output-to": "9999-12-31 23:59:59.999",
        "penstock.replay.output-to-millis": "253402300799999",
    }


def test_a_replay_says_where_the_sources_begin_and_end_and_what_is_wanted():
    assert variables(WHOLE) == {
        "penstock.source.startup-mode": "timestamp",
        "penstock.source.startup-timestamp-millis": "1769770800000",
        "penstock.source.bounded-mode": "timestamp",
        "penstock.source.bounded-timestamp-millis": "1769860800000",
        "penstock.replay.output-from": "2026-01-30 12:00:00.000",
        "penstock.replay.output-from-millis": "1769774400000",
        "penstock.replay.output-to": "2026-01-31 12:00:00.000",
        "penstock.replay.output-to-millis": "1769860800000",
    }


def test_without_an_end_the_sources_have_none():
    ends = {name: value for name, value in variables(ENDLESS).items() if "bounded" in name or "output-to" in name}
    assert ends == {name: value for name, value in variables().items() if name in ends}


def test_times_are_told_in_utc_whatever_zone_they_were_written_in():
    local = Replay.model_validate(
        {"outputFrom": "2026-01-31T13:00:00+01:00", "sourceStart": "2026-01-31T13:00:00+01:00"}
    )
    assert variables(local)["penstock.replay.output-from"] == "2026-01-31 12:00:00.000"


def test_every_replay_has_a_value_for_every_name_and_none_that_could_be_read_again():
    for replay in (None, WHOLE, ENDLESS):
        assert tuple(variables(replay)) == NAMES
        assert not any(set("${}'") & set(value) for value in variables(replay).values())


def test_what_is_recorded_is_read_back_equal():
    for replay in (WHOLE, ENDLESS):
        assert Replay.model_validate(dump(replay)) == replay


def test_a_wish_is_left_as_it_was_written():
    written = {"replay": {"from": "24h"}}
    assert dump(StartFrom.model_validate(written)) == written


@pytest.mark.parametrize("since", ["2026-02-30T12:00:00Z", "9999-12-31T23:59:59-14:00", "yesterday", "", "2026-01-31"])
def test_a_from_that_means_nothing_says_what_to_write(since: str):
    wish = ReplayWish.model_construct(since=since)
    with pytest.raises(ValueError, match="write"):
        wish.begins(NOW)


def test_a_time_that_is_none_in_utc_is_a_field_that_cannot_be_read():
    with pytest.raises(ValidationError, match="is not a time in UTC"):
        ReplayWish.model_validate({"from": "24h", "to": "0001-01-01T00:00:00+01:00"})
