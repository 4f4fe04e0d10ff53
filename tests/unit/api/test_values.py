"""Durations, quantities and times."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from penstock.api.base import dump, format_time
from penstock.api.duration import display_duration, format_duration, parse_duration
from penstock.api.meta import ObjectMeta
from penstock.api.quantity import display_bytes, to_bytes, to_millicores


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        ("1h30m", 5_400_000),
        ("30s", 30_000),
        ("500ms", 500),
        ("1m", 60_000),
        ("1s500ms", 1_500),
        ("0s", 0),
        ("5m", 300_000),
    ],
)
def test_a_duration_is_read(text, millis):
    assert parse_duration(text) == millis


@pytest.mark.parametrize("text", ["", "-1s", "1", "1.5h", "1 s", "30s1h", "1d", "s", "\u0661s", "1s\n"])
def test_what_is_no_duration_is_refused_with_what_to_write(text):
    with pytest.raises(ValueError, match="is not a duration; write hours, minutes, seconds or ms, for example 1h30m"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=999_999 * 3_600_000))
def test_a_duration_survives_being_written_and_read(millis):
    assert parse_duration(format_duration(millis)) == millis


def test_a_negative_duration_cannot_be_written():
    with pytest.raises(ValueError, match="cannot be negative"):
        format_duration(-1)


@pytest.mark.parametrize(
    ("millis", "text"),
    [
        (0, "0 ms"),
        (240, "240 ms"),
        (1_200, "1.2 s"),
        (59_949, "59.9 s"),
        (59_950, "1m 0s"),
        (200_000, "3m 20s"),
        (3_599_600, "1h 0m"),
        (7_500_000, "2h 5m"),
    ],
)
def test_a_duration_is_shown_for_people(millis, text):
    assert display_duration(millis) == text


@pytest.mark.parametrize(
    ("quantity", "size"),
    [
        ("1Gi", 1024**3),
        ("1.5Gi", 3 * 512 * 1024**2),
        ("1G", 10**9),
        ("128Mi", 128 * 1024**2),
        (1024, 1024),
        ("1024", 1024),
        ("0.5", 1),
        ("1500m", 2),
        ("2k", 2000),
        ("1Ki", 1024),
        ("1Pi", 1024**5),
        ("3M", 3_000_000),
    ],
)
def test_memory_is_read_as_bytes_rounded_up(quantity, size):
    assert to_bytes(quantity) == size


@pytest.mark.parametrize(("quantity", "millis"), [("500m", 500), (2, 2000), ("0.5", 500), ("0.0001", 1), ("1k", 10**6)])
def test_cpu_is_read_as_millicores_rounded_up(quantity, millis):
    assert to_millicores(quantity) == millis


@pytest.mark.parametrize("quantity", ["", "-1", "1GB", "1e3", "Gi", ".5", "1 Gi", -1, "1K", "1\n"])
def test_what_is_no_quantity_is_refused_with_what_to_write(quantity):
    with pytest.raises(ValueError, match="is not a quantity; write for example 500m or 2 for cpu, 1Gi for memory"):
        to_bytes(quantity)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (1024, "1.0 KiB"),
        (50_331_648, "48 MiB"),
        (1_503_238_554, "1.4 GiB"),
        (1024**2 - 1, "1.0 MiB"),
        (2 * 1024**4, "2.0 TiB"),
    ],
)
def test_a_size_is_shown_for_people(size, text):
    assert display_bytes(size) == text


def test_times_are_whole_seconds_of_utc_and_survive_being_written_and_read():
    meta = ObjectMeta(creation_timestamp=datetime(2026, 1, 31, 13, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1))))
    assert meta.creation_timestamp == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert dump(meta)["creationTimestamp"] == "2026-01-31T12:00:00Z"
    assert ObjectMeta.model_validate(dump(meta)) == meta


def test_a_time_that_a_copy_brought_in_is_cut_to_seconds_when_written():
    assert format_time(datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC)) == "2026-01-31T12:00:00Z"


def test_a_time_without_zone_is_refused():
    with pytest.raises(ValidationError):
        ObjectMeta.model_validate({"creationTimestamp": "2026-01-31T12:00:00"})
