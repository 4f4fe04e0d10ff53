"""`penstock restore --dry-run`: a question beside the spec, and the operator's answer as a table."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.api import constants
from tests.unit.cli.follower import Act, Desk
from tests.unit.fakes import Manifest


def answer(*results: str) -> Act:
    """An operator that answers what was asked."""

    def act(stored: Manifest) -> None:
        text = stored["metadata"]["annotations"][constants.PREFLIGHT]
        checks = [{"name": f"Check{n}", "result": result, "message": "said"} for n, result in enumerate(results)]
        stored["status"]["restore"] = {
            "dryRun": {"id": "x", "text": text.split()[0], "request": text, "checks": checks}
        }

    return act


@pytest.mark.parametrize(
    ("results", "code"),
    [(("Passed", "Skipped"), 0), (("Passed", "Failed"), 1), (("Unknown",), 1)],
)
def test_the_checks_are_a_table_and_the_code_says_whether_all_passed(make: Any, results: Any, code: int) -> None:
    desk: Desk = make(answer(*results))
    spec = dict(desk.job["spec"])
    done = desk.run("restore", "flights", "--from", "before", "--dry-run")
    assert done.exit_code == code
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["CHECK", "RESULT", "MESSAGE"]
    assert [line.split()[1] for line in lines[1:]] == list(results)
    assert desk.job["spec"] == spec
    assert desk.job["metadata"]["annotations"][constants.PREFLIGHT].startswith("before ")


def test_another_ones_answer_does_not_count(make: Any) -> None:
    def other(stored: Manifest) -> None:
        checks = [{"name": "State", "result": "Passed"}]
        stored["status"]["restore"] = {"dryRun": {"id": "x", "request": "before 1", "checks": checks}}

    done = make(other).run("restore", "flights", "--from", "before", "--dry-run", "--timeout", "50ms")
    assert (done.exit_code, done.stdout) == (3, "")


@pytest.mark.parametrize("given", [[], ["--as-of", "2026-01-31T12:00:00Z"], ["--from", "a", "--override", "NotWhole"]])
def test_it_is_about_one_checkpoint(make: Any, given: list[str]) -> None:
    done = make().run("restore", "flights", "--dry-run", *given)
    assert done.exit_code == 2
    assert "--dry-run takes --from" in done.stderr
