"""Checkpoints made anew from notes: what a note says is believed as far as it can be true."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.api.checkpoint import Checkpoint
from penstock.api.reading import read
from penstock.build.checkpoint import note
from penstock.build.rebuilt import Rebuilt, plan
from tests.unit.builders import JOB, NAMESPACE, OLD_RUN, RUN, checkpoint, retained, savepoint, stored, uid

NOTE = {
    "namespace": NAMESPACE,
    "job": JOB,
    "checkpoint": "before",
    "uid": uid(1),
    "description": "before the move",
    "source": "Manual",
    "run": RUN,
}


def one(**change: Any) -> Rebuilt:
    told = {key: value for key, value in (NOTE | change).items() if value is not None}
    (found,) = plan(NAMESPACE, {JOB: [stored(savepoint(1), note=told)]}, pinned=True)
    return found


def test_a_users_one_comes_back_under_its_name_with_its_words() -> None:
    found = one()
    assert found.problem == ""
    assert found.manifest == {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Checkpoint",
        "metadata": {
            "name": "before",
            "namespace": NAMESPACE,
            "annotations": {"penstock.dev/rebuilt-from": savepoint(1)},
        },
        "spec": {
            "jobRef": {"name": JOB},
            "description": "before the move",
            "pinned": True,
            "source": "Manual",
        },
    }


@pytest.mark.parametrize("source", ["Stop", "Upgrade", "Schedule"])
def test_an_operators_one_comes_back_with_its_run(source: str) -> None:
    found = one(source=source).manifest
    assert found is not None
    assert (found["spec"]["source"], found["spec"]["origin"]) == (source, {"run": RUN})
    assert found["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "penstock", "penstock.dev/job": JOB}


def test_what_the_operator_writes_beside_a_savepoint_is_enough() -> None:
    whole = checkpoint("before", 1, "Present", description="a word", source="Upgrade")
    told = note(whole)
    (found,) = plan(NAMESPACE, {JOB: [stored(savepoint(1), note=told)]}, pinned=False)
    again, problems = read(Checkpoint, found.manifest or {})
    assert problems == ()
    assert again is not None
    assert (again.metadata.name, again.spec) == (whole.metadata.name, whole.spec)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"namespace": "other"}, "its note is of another job"),
        ({"job": "other"}, "its note is of another job"),
        ({"source": "Imported"}, "its note names a source that no savepoint has"),
        ({"source": "Retained"}, "its note names a source that no savepoint has"),
        ({"source": ["Manual"]}, "its note names a source that no savepoint has"),
        ({"checkpoint": "../x"}, "its note cannot be one: "),
        ({"checkpoint": None}, "its note cannot be one: "),
        ({"description": "x" * 1025}, "its note cannot be one: description"),
        ({"description": 7}, "its note cannot be one: description"),
        ({"source": "Stop", "run": "no run"}, "its note cannot be one: origin.run"),
        ({"source": "Stop", "run": None}, "its note cannot be one: origin.run"),
    ],
)
def test_a_note_that_cannot_be_true_makes_nothing(change: dict[str, Any], sentence: str) -> None:
    found = one(**change)
    assert found.manifest is None
    assert found.problem.startswith(sentence)


def test_a_savepoint_without_a_note_is_told_of() -> None:
    (found,) = plan(NAMESPACE, {JOB: [stored(savepoint(1))]}, pinned=True)
    assert (found.manifest, found.problem, found.name) == (None, "there is no note beside it", "")


def test_of_several_for_one_name_it_is_the_newest() -> None:
    states = [stored(savepoint(number), number, note=NOTE) for number in (1, 3, 2)]
    found = plan(NAMESPACE, {JOB: states}, pinned=True)
    assert [each.state.checkpoint_id for each in found] == [3, 2, 1]
    assert [each.problem for each in found] == ["", *["a newer savepoint has this name"] * 2]


def test_flinks_own_checkpoints_are_left_to_the_job() -> None:
    assert plan(NAMESPACE, {JOB: [stored(retained(7, OLD_RUN), 7)]}, pinned=True) == ()
