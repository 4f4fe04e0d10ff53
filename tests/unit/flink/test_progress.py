"""What Flink's metrics become: offsets, watermarks, since when all runs."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.flink.progress import Progress, Reading, queries

KAFKA = "Source__KafkaSource-default_catalog_default_database_flights"


def offset(subtask: int, topic: str, partition: int, value: object) -> dict[str, Any]:
    return {
        "id": f"{subtask}.{KAFKA}.KafkaSourceReader.topic.{topic}.partition.{partition}.currentOffset",
        "value": value,
    }


def reading(*values: dict[str, Any]) -> Progress:
    found = Reading()
    found.take("v1", values)
    return found.progress()


def test_the_offset_read_last_is_the_one_before_the_next() -> None:
    found = reading(offset(0, "flights", 3, "27671"), offset(1, "flights", 12, "0"))
    assert found.offsets == {("flights", 3): 27672, ("flights", 12): 1}
    assert found.readers == {("flights", 3): "v1/0", ("flights", 12): "v1/1"}


def test_a_partition_of_which_nothing_was_read_has_a_reader_only() -> None:
    found = reading(offset(0, "flights", 3, "-1"))
    assert (found.offsets, found.readers) == ({}, {("flights", 3): "v1/0"})


@pytest.mark.parametrize("topic", ["a.partition.7.b", "topic.x", "with-dash_and.dots"])
def test_a_topics_name_may_hold_what_stands_around_it(topic: str) -> None:
    assert reading(offset(0, topic, 3, "4")).offsets == {(topic, 3): 5}


@pytest.mark.parametrize("value", ["", "NaN", None, "x", "Infinity"])
def test_a_value_that_is_no_number_is_none(value: object) -> None:
    assert reading(offset(0, "flights", 3, value)) == Progress()


def test_what_the_clients_have_left_and_how_late_the_latest_is() -> None:
    names = [f"{number}.{KAFKA}" for number in (0, 1)]
    found = reading(
        *({"id": f"{name}.pendingRecords", "value": "3"} for name in names),
        {"id": f"{names[0]}.currentEmitEventTimeLag", "value": "9"},
        {"id": f"{names[1]}.currentEmitEventTimeLag", "value": "1.2E3"},
        {"id": f"{names[1]}.numRecordsIn", "value": "7"},
    )
    assert (found.pending, found.lag_millis) == (6, 1200)


def test_the_lowest_watermark_counts_and_none_yet_is_none() -> None:
    found = Reading()
    found.take_watermarks([{"id": "0.currentInputWatermark", "value": str(-(1 << 63))}])
    assert found.progress().watermark is None
    found.take_watermarks(
        [{"id": "0.currentInputWatermark", "value": "20"}, {"id": "1.currentInputWatermark", "value": "10"}]
    )
    found.take_watermarks([{"id": "0.currentInputWatermark", "value": "15"}])
    found.take_watermarks([])
    assert found.progress().watermark == 10


def subtask(status: str, running: object = 500) -> dict[str, Any]:
    return {"status": status, "status-duration": {"RUNNING": running}}


@pytest.mark.parametrize(
    ("subtasks", "since"),
    [
        ([], None),
        ([subtask("RUNNING", 700), subtask("RUNNING", 500)], 500),
        ([subtask("RUNNING", 700), subtask("INITIALIZING", -1)], None),
        ([subtask("RUNNING", 700), subtask("FINISHED", 5)], 700),
        ([subtask("FINISHED", 5)], None),
        ([subtask("RUNNING", -1)], None),
        ([{"status": "RUNNING"}], None),
    ],
)
def test_since_when_all_run_is_since_when_the_last_one_does(subtasks: list[dict[str, Any]], since: int | None) -> None:
    found = Reading()
    found.take_subtasks(subtasks)
    assert found.progress().running_millis == since


def test_only_the_metrics_of_a_kafka_source_are_asked_for() -> None:
    ids = [offset(0, "flights", 1, 0)["id"], f"0.{KAFKA}.pendingRecords", f"0.{KAFKA}.numRecordsIn"]
    assert queries(ids) == [",".join(sorted(ids[:2]))]
    assert queries(["0.Map.numRecordsIn", "0.Other.pendingRecords"]) == []


def test_no_question_is_longer_than_flink_takes() -> None:
    ids = [offset(number, "a-topic", number, 0)["id"] for number in range(100)]
    found = queries(ids)
    assert sorted(",".join(found).split(",")) == sorted(ids)
    assert len(found) > 1
    assert max(map(len, found)) < 3200
