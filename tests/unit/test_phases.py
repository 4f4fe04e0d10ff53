"""`make test` runs every phase that it can, says how long each took, and never calls a failure a success."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import phases
from tests.phases import Phase, slowest

REPORT = """<?xml version="1.0"?><testsuites><testsuite name="pytest">
<testcase classname="tests.e2e.a" name="test_{name}" time="{time}"/></testsuite></testsuites>"""


@pytest.fixture(autouse=True)
def _reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phases, "REPORTS", tmp_path / "reports")


def python(name: str, code: str, *, needed: bool = False) -> Phase:
    return Phase(name, (sys.executable, "-c", code), needed)


def test_a_phase_that_fails_is_said_and_the_others_run(capfd: pytest.CaptureFixture[str]) -> None:
    status = phases.run([python("one", "raise SystemExit(3)"), python("two", "print('here')")])
    said = capfd.readouterr().out
    assert status == 1
    assert "here" in said
    assert [line.split()[0] for line in said.splitlines() if line.endswith("FAILED") and "==" not in line] == ["one"]


def test_what_all_need_ends_the_run_when_it_fails(capfd: pytest.CaptureFixture[str]) -> None:
    status = phases.run([python("cluster", "raise SystemExit(1)", needed=True), python("two", "print('here')")])
    assert status == 1
    assert "here" not in capfd.readouterr().out


def test_all_is_well_when_all_is_well() -> None:
    assert phases.run([python("one", "pass")]) == 0


def test_the_slowest_are_of_all_reports_the_longest_first(tmp_path: Path) -> None:
    for name, time in (("a", 3.5), ("b", 20.1), ("c", 7)):
        (tmp_path / f"{name}.xml").write_text(REPORT.format(name=name, time=time))
    found = slowest(tmp_path, 2)
    assert [(each.name, each.seconds) for each in found] == [
        ("tests.e2e.a::test_b", 20.1),
        ("tests.e2e.a::test_c", 7.0),
    ]


@pytest.mark.parametrize("everything", [False, True])
def test_every_folder_of_tests_is_in_a_phase(everything: bool) -> None:  # noqa: FBT001 - a parameter of the test
    words = [word for phase in phases.phases(everything=everything) for word in phase.command]
    assert {"tests/unit", "tests/integration", "tests/e2e", "tests/crash"} <= set(words)
    assert any("exhaustive" in word for word in words) != everything
