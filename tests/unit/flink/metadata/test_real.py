"""What the reader finds in files of real Flink, against what was on the disk and what Flink's REST API said."""

from __future__ import annotations

import io

import pytest

from penstock.flink.metadata import Metadata, Scope, read
from tests.unit.flink.metadata.real import REAL, Real

VERSIONS = {"1.20": 4, "2.3": 6}
BY_NAME = {each.name: each for each in REAL}
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
    assert set(found.files()) == set(disk)
    for reference in found.references:
        if reference.segment is None:
            assert reference.size == disk[reference.path]
        else:
            assert reference.at_least <= disk[reference.path]
        assert reference.relative == (reference.scope is Scope.EXCLUSIVE)


@every
def test_the_sizes_add_up_to_what_flink_says(real: Real) -> None:
    found = parse(real)
    sizes = [each.segment.length if each.segment else each.size or 0 for each in found.references]
    assert sum(sizes) + found.inline_bytes == real.facts["stateSize"]
