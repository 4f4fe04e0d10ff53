"""Rendering a script in the JobManager's pod."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import penstock
from penstock.render import main, render

TEMPLATE = "WITH ('password' = '${secret:kafka/password}', 'user' = '${secret:kafka/user}', 'x' = '$${y}');\r\n-- é"
SCRIPT = "WITH ('password' = 'it''s', 'user' = 'me', 'x' = '${y}');\r\n-- é"


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A pod's files and environment."""
    (tmp_path / "template.sql").write_bytes(TEMPLATE.encode())
    monkeypatch.setenv("PENSTOCK_SECRET_0", "it's")
    monkeypatch.setenv("PENSTOCK_SECRET_1", "me")
    return ["--template", str(tmp_path / "template.sql"), "--script", str(tmp_path / "job.sql")]


def test_the_values_are_in_the_script_and_nowhere_else(arguments, tmp_path, capsys):
    assert main(arguments) == 0
    written = tmp_path / "job.sql"
    assert written.read_bytes() == SCRIPT.encode()
    assert written.stat().st_mode & 0o077 == 0
    assert [each.name for each in tmp_path.iterdir()] == ["job.sql", "template.sql"]
    assert capsys.readouterr() == ("", "")


def test_a_pod_that_is_tried_again_renders_again(arguments, tmp_path):
    (tmp_path / "job.new").write_text("half")
    assert [main(arguments), main(arguments)] == [0, 0]
    assert (tmp_path / "job.sql").read_bytes() == SCRIPT.encode()


def test_without_a_value_nothing_is_written(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("PENSTOCK_SECRET_1")
    assert main(arguments) == 1
    assert not (tmp_path / "job.sql").exists()
    said = capsys.readouterr().out
    assert "'PENSTOCK_SECRET_1' is not set" in said
    assert "it's" not in said


def test_a_value_that_is_no_text_arrives_as_it_is(arguments, tmp_path):
    package = os.fsencode(Path(penstock.__file__).parents[1])
    environment = {**os.environb, b"PENSTOCK_SECRET_0": b"\xff\xfe", b"PYTHONPATH": package, b"LC_ALL": b"C"}
    command = [sys.executable, "-m", "penstock.render", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert b"'password' = '\xff\xfe'," in (tmp_path / "job.sql").read_bytes()
    assert (done.stdout, done.stderr) == (b"", b"")


@given(st.text(max_size=30))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_value_stays_within_its_string_literal(value):
    literal = render("'${secret:a/b}'", {"PENSTOCK_SECRET_0": value})
    assert literal[1:-1].replace("''", "") == value.replace("'", "")
    assert literal[1:-1].replace("''", "'") == value
