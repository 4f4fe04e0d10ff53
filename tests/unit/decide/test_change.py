"""What a change of the spec asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.base import Empty, Model, dump
from penstock.api.streamjob import StreamJobSpec
from penstock.decide.change import FIELDS, Change, changed_fields, class_of, spec_hash, version_part
from tests.unit.builders import spec


def parsed(**change: Any) -> StreamJobSpec:
    return StreamJobSpec.model_validate(spec(**change))


def _models(annotation: object) -> Iterator[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    if get_origin(annotation) not in (list, tuple, dict):
        for part in get_args(annotation):
            yield from _models(part)


def _paths(model: type[Model], prefix: str = "") -> Iterator[str]:
    """Every field down to where the table has an entry or there is no model any more."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        inner = [each for each in _models(field.annotation) if each is not Empty]
        if path in FIELDS or not inner:
            yield path
        else:
            for each in inner:
                yield from _paths(each, path + ".")


@pytest.mark.parametrize("path", sorted(_paths(StreamJobSpec)))
def test_every_field_of_the_spec_is_classified(path):
    class_of(path)


def test_every_entry_of_the_table_is_a_field():
    assert set(FIELDS) == set(_paths(StreamJobSpec))


def test_a_field_that_nobody_thought_of_is_an_error():
    with pytest.raises(LookupError, match=r"spec\.colour is not classified"):
        class_of("colour")


CHANGES: list[tuple[dict[str, Any], str, Change]] = [
    ({"flink": {"version": "2.3", "image": "x"}}, "flink.image", Change.SAVEPOINT),
    ({"flink": {"version": "2.3", "configuration": {"a": "b"}}}, "flink.configuration", Change.SAVEPOINT),
    ({"job": {"sql": {"script": "X;"}}}, "job.sql.script", Change.SAVEPOINT),
    ({"parallelism": 2}, "parallelism", Change.SAVEPOINT),
    ({"taskManager": {"slots": 2}}, "taskManager.slots", Change.RESTART),
    ({"taskManager": {"replicas": 2}}, "taskManager.replicas", Change.RESTART),
    ({"jobManager": {"resources": {"limits": {"memory": "2Gi"}}}}, "jobManager.resources", Change.RESTART),
    ({"podTemplate": {"labels": {"a": "b"}}}, "podTemplate", Change.RESTART),
    ({"serviceAccountName": "mine"}, "serviceAccountName", Change.RESTART),
    ({"checkpoints": {"interval": "5s"}}, "checkpoints.interval", Change.RESTART),
]
IGNORED: list[dict[str, Any]] = [
    {"state": "Stopped"},
    {"startFrom": {"empty": {}}},
    {"startFrom": {"replay": {"from": "24h", "to": "2026-01-31T12:00:00Z", "lookback": "1h", "onGap": "Warn"}}},
    {"window": "1h"},
    {"sources": [{"name": "events", "generic": {"retention": "168h"}}]},
    {"sources": [{"name": "events", "kafka": {"connection": "main", "topics": ["events"]}}]},
    {"restartToken": "x"},
    {"onDelete": {"checkpoints": "Delete"}},
    {"checkpoints": {"onStop": "LatestCheckpoint", "onUpgrade": "Stateless", "ifSavepointFails": "LatestCheckpoint"}},
    {"checkpoints": {"format": "Native"}},
    {"checkpoints": {"schedule": {"cron": "0 3 * * *"}}},
    {"checkpoints": {"retention": {"numRetained": 3, "maxAge": "168h"}}},
]


@pytest.mark.parametrize(("change", "path", "asks"), CHANGES, ids=[path for _, path, _ in CHANGES])
def test_what_a_changed_field_asks_for(change, path, asks):
    before, after = parsed(), parsed(**change)
    assert changed_fields(dump(before), after) == {path: asks}
    assert spec_hash(before) != spec_hash(after)


@pytest.mark.parametrize("change", IGNORED, ids=str)
def test_what_the_running_job_need_not_know(change):
    before, after = parsed(), parsed(**change)
    assert changed_fields(dump(before), after) == {}
    assert spec_hash(before) == spec_hash(after)
    assert version_part(before) == version_part(after)


def test_a_job_of_another_kind_is_both_a_loss_and_a_gain():
    jar = parsed(job={"jar": {"uri": "local:///job.jar", "args": ["a"]}})
    assert set(changed_fields(dump(parsed()), jar)) == {"job.sql.script", "job.jar.uri", "job.jar.args"}


def test_a_default_that_is_written_out_changes_nothing():
    assert spec_hash(parsed()) == spec_hash(parsed(parallelism=1, taskManager={"slots": 1}))


@given(st.integers(1, 99), st.integers(1, 99))
def test_the_hash_is_equal_exactly_when_no_field_changed(one, other):
    first, second = parsed(parallelism=one), parsed(parallelism=other)
    assert (spec_hash(first) == spec_hash(second)) == (changed_fields(dump(first), second) == {})


def test_a_field_that_there_is_no_more_asks_for_nothing():
    """An older version has recorded it; seen in the code as an error at each pass of such a job."""
    before = dump(parsed())
    assert changed_fields(before | {"gone": {"with": "it"}}, parsed()) == {}
