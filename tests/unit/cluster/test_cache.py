from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster import cache
from cluster.settings import ClusterError


def test_digest_keeps_parts_apart() -> None:
    assert cache.digest("ab", "c") != cache.digest("a", "bc")
    assert cache.digest("ab", "c") == cache.digest("ab", b"c")


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def fails(target: Path) -> None:
        target.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cache.built(tmp_path / "x", fails)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_build_left_goes_when_it_is_old(tmp_path: Path) -> None:
    old, young = tmp_path / ".building-x-1", tmp_path / ".building-x-2"
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (0, 0))
    cache.built(tmp_path / "y", lambda target: target.write_text("whole") and None)
    assert not old.exists()
    assert young.exists()
    assert (tmp_path / "y").read_text() == "whole"


def test_a_file_is_replaced_as_a_whole_and_has_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "sub" / "x"
    cache.write_atomic(file, "one")
    cache.write_atomic(file, "two", 0o600)
    assert file.read_text() == "two"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["x"]


def test_one_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with cache.locked(lock, "up"), pytest.raises(ClusterError, match="Another `up`"), cache.locked(lock, "up"):
        pass
    with cache.locked(lock, "up"):
        pass
