"""One line for each scenario that a user would ask about, at the end of a run: what held, how long it took, figures.

A test is one by `@pytest.mark.scenario(text, group="replay")`; `figures` adds to its line what it has measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Figures = Callable[[str], None]
_LINE = "scenario"
_FIGURES = "figures"


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "scenario(text, *, group): has a line of its own at the end of the run")


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Figures:
    """Add a text to the line of the scenario."""
    return lambda text: record_property(_FIGURES, text)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have each report carry the line of its test."""
    for item in items:
        for mark in item.iter_markers(_LINE):
            item.user_properties.append((_LINE, f"{mark.kwargs['group']}: {mark.args[0]}"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The lines, in the order of the tests."""
    lines = [
        line
        for word in ("passed", "failed", "error", "skipped")
        for report in terminalreporter.stats.get(word, [])
        if getattr(report, "user_properties", None) and report.when in ("call", "setup")
        for line in [_line(word, report)]
        if line
    ]
    if lines:
        terminalreporter.section("scenarios")
        for line in lines:
            terminalreporter.write_line(line)


def _line(word: str, report: Any) -> str:
    told = [text for key, text in report.user_properties if key == _LINE]
    figures = [str(text) for key, text in report.user_properties if key == _FIGURES]
    if not told:
        return ""
    return f"{word.upper():7} {report.duration:5.0f} s  {told[0]}" + (f"; {', '.join(figures)}" if figures else "")
