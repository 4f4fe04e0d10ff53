"""What the reader finds in files of real Flink, against what was on the disk and what Flink's REST API said."""

from __future__ import annotations

import io

import pytest

from penstock.flink.metadata import Kind, Metadata, Scope, read
from tests.unit.flink.metadata.real import REAL, Real

VERSIONS = {"1.20": 4, "2.3": 6}
BY_NAME = {each.name: each for each in REAL}
WHOLE = [each for each in REAL if not each.name.startswith(("changelog", "unaligned"))]
"""Where Flink counts whole files, and not the parts of them that a subtask needs."""
every = pytest.mark.parametrize("real", REAL, ids=lambda each: each.name)


def parse(real: Real) -> Metadata:
    return read(io.BytesIO(real.data), real.directory)


@every
def test_ids(real: Real) -> None:
    found = parse(real)
    assert found.version == VERSIONS[real.name.rpartition("-")[2]]
    assert found.checkpoint_id == real.facts["checkpointId"]
    assert found.size == len(real.data)
    assert found.properties is not None
    assert found.properties.savepoint == real.facts["savepoint"]
    assert found.master_states == ()


@every
def test_operators(real: Real) -> None:
    operators = {operator.id: operator for operator in parse(real).operators}
    for id_, (name, parallelism) in real.facts["vertices"].items():
        operator = operators[id_]
        assert (operator.parallelism, operator.max_parallelism) == (parallelism, 8)
        if real.name.endswith("-2.3"):
            assert operator.name == name.split(" -> ")[0]
        else:
            assert operator.name is None


@every
def test_the_files_are_those_on_the_disk(real: Real) -> None:
    found = parse(real)
    disk: dict[str, int] = real.facts["files"]
    if "changelog" in real.name:  # what was materialized after the checkpoint lies there, too
        assert set(found.files()) <= set(disk)
    else:
        assert set(found.files()) == set(disk)
    assert all(size <= disk[path] for path, size in found.files().items())


@every
def test_the_sizes_are_those_on_the_disk(real: Real) -> None:
    disk: dict[str, int] = real.facts["files"]
    for reference in parse(real).references:
        if reference.kind is Kind.CHANGELOG:  # Flink does not count the byte that says whether it is compressed
            assert reference.size == disk[reference.path] - 1
        elif reference.segment is None:
            assert reference.size == disk[reference.path]


@every
def test_relative_names_are_those_in_the_checkpoints_directory(real: Real) -> None:
    for reference in parse(real).references:
        assert reference.relative == (reference.scope is Scope.EXCLUSIVE)
        assert reference.relative == reference.path.startswith(real.directory + "/")


@pytest.mark.parametrize("real", WHOLE, ids=lambda each: each.name)
def test_the_sizes_add_up_to_what_flink_says(real: Real) -> None:
    found = parse(real)
    sizes = [each.segment.length if each.segment else each.size or 0 for each in found.references]
    coordinators = sum(operator.coordinator_bytes for operator in found.operators)  # Flink leaves them out
    assert sum(sizes) + found.inline_bytes - coordinators == real.facts["stateSize"]


def named(scenario: str) -> list[Metadata]:
    found = [parse(each) for each in REAL if each.name.rpartition("-")[0] == scenario]
    assert len(found) == len(VERSIONS)
    return found


def test_incremental_state_is_shared() -> None:
    for found in named("rocksdb"):
        assert {(each.scope, each.kind) for each in found.references} == {(Scope.SHARED, Kind.KEYED)}
        assert found.inline_bytes > 0


@pytest.mark.parametrize("scenario", ["canonical", "native", "hashmap"])
def test_savepoints_and_full_checkpoints_are_self_contained(scenario: str) -> None:
    for found in named(scenario):
        assert {each.scope for each in found.references} == {Scope.EXCLUSIVE}


def test_small_state_needs_no_file() -> None:
    for found in named("inline"):
        assert found.files() == {}
        assert found.inline_bytes > 0


@pytest.mark.parametrize("scenario", ["merged", "merged-hashmap"])
def test_merged_files_lie_in_the_managed_directories(scenario: str) -> None:
    for found in named(scenario):
        assert all(each.segment is not None for each in found.references)
        assert {each.scope for each in found.references} <= {Scope.SHARED, Scope.TASKOWNED}
        assert {path.rpartition("/")[0] for path in found.files()} <= set(found.directories)
    assert any(len(found.files()) < len(found.references) for found in named("merged"))


def test_a_changelog_is_elsewhere_and_what_was_materialized_is_taskowned() -> None:
    for found in named("changelog"):
        places = {each.kind: each.scope for each in found.references}
        assert places == {Kind.CHANGELOG: Scope.ELSEWHERE, Kind.KEYED: Scope.TASKOWNED}
    for found in named("changelog-inline"):
        assert Kind.CHANGELOG not in {each.kind for each in found.references}
        assert found.inline_bytes > 0


def test_records_in_flight() -> None:
    for found in named("unaligned"):
        assert Kind.CHANNEL in {each.kind for each in found.references}


def test_a_finished_operator_and_a_coordinator() -> None:
    for found in named("finished"):
        assert [operator.finished for operator in found.operators].count(True) == 1
        assert any(operator.coordinator_bytes for operator in found.operators)


def test_a_claimed_checkpoint_needs_files_of_another_job() -> None:
    for found in named("claimed"):
        assert len({path.split("/")[-3] for path in found.files()}) == 2
