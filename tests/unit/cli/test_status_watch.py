"""`penstock status --watch`: until a job has caught up, on a terminal and elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock.cli import status
from penstock.errors import RetryLater
from tests.unit.builders import NAMESPACE, NOW, RUN, ended, live
from tests.unit.cli.follower import Desk, Make
from tests.unit.cli.recoveries import FROM, UNMEASURED, Opened, desk_at_noon, over, recovery, told


@pytest.fixture
def desk(make: Make, monkeypatch: pytest.MonkeyPatch) -> Opened:
    return desk_at_noon(make, monkeypatch)


BACK = (
    "StreamJob flights has caught up at 2026-01-31T12:00:00Z, after Upgrade: 1m 56s, of these 21.0 s until all tasks "
    "ran; 1100000 records were read; 2m 3s had been expected"
)


def restarting(**more: Any) -> dict[str, Any]:
    figures = dict.fromkeys(("percent", "backlogRecords", "recordsPerSecond", "arrivalPerSecond", "lagSeconds"))
    return recovery(phase="Restarting", text="Restarting", estimatedCompletion=None, **figures, **more)


def test_it_is_watched_until_it_has_caught_up(desk: Any) -> None:
    """A line whenever the words change, and no control characters where nobody sees them."""
    never = "never catches up: 9000 records/s arrive, 7000 are read"
    slow = recovery(text="CatchingUp 60%, never", estimatedCompletion=None, outlook=never, arrivalPerSecond=9000)
    looks = [told(restarting()), told(restarting()), told(recovery()), told(recovery()), told(slow)]
    done = desk(*looks, told(over(), "True")).run("status", "flights", "--watch")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Restarting",
        "CatchingUp 52%, 1m 20s left; 480000 records wait; 7000 records/s are read, 1000 arrive",
        f"CatchingUp 60%, never; 480000 records wait; 7000 records/s are read, 9000 arrive; {never}",
        "Running",
        BACK,
    ]


UPGRADING = {
    "kind": "Stop",
    "run": RUN,
    "reason": "Upgrade",
    "method": "Cancel",
    "attempt": 1,
    "recordedAt": NOW,
    "deadline": NOW,
}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (live(), "StreamJob flights is not recovering: it was started without state"),
        (live(FROM), "StreamJob flights is not recovering: nothing was recorded of this run"),
        (told(over(), "True"), BACK),
        (
            told(UNMEASURED, "Unknown"),
            f"StreamJob flights runs, and nobody can say whether it has caught up: {UNMEASURED['outlook']}",
        ),
        (ended("STOPPED", state="Stopped"), "StreamJob flights is not recovering: it is Stopped"),
        (
            ended("STOPPED", state="Stopped", recovery=recovery()),
            "StreamJob flights is not recovering: it is Stopped",
        ),
        (ended("FINISHED", state="Finished"), "StreamJob flights is not recovering: it is Finished"),
    ],
)
def test_where_there_is_nothing_to_wait_for_it_ends_at_once(desk: Any, given: dict[str, Any], said: str) -> None:
    done = desk(given, AssertionError("looked again")).run("status", "flights", "--watch")
    assert (done.exit_code, done.stderr, done.stdout.splitlines()[-1]) == (0, "", said)


@pytest.mark.parametrize(
    "given",
    [
        told(recovery()),
        told(over(), "True", intent=UPGRADING, state="Upgrading"),
        told(over(), "True", observed_generation=0),
        ended("STOPPED", state="Restoring"),
        {"state": "Pending"},
    ],
)
def test_what_goes_on_or_has_not_begun_is_waited_for(desk: Any, given: dict[str, Any]) -> None:
    done = desk(given).run("status", "flights", "--watch", "--timeout", "50ms")
    assert done.exit_code == 3
    assert done.stderr == "penstock: not caught up within 0:00:00.050000; the operator goes on with it\n"


STALLED = [{"type": "Stalled", "status": "True", "reason": "CannotStart", "message": "no such image"}]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (live(FROM, recovery=recovery(), conditions=STALLED), "StreamJob flights: CannotStart: no such image"),
        (
            ended("FAILED", state="Failed", last_error={"time": NOW, "reason": "JobFailed", "message": "/ by zero"}),
            "StreamJob flights is Failed: / by zero",
        ),
        (ended("FAILED", state="Failed"), "StreamJob flights is Failed: no reason given"),
    ],
)
def test_a_job_that_fails_meanwhile(desk: Any, given: dict[str, Any], said: str) -> None:
    done = desk(told(recovery()), given).run("status", "flights", "--watch")
    assert (done.exit_code, done.stderr) == (1, f"penstock: {said}\n")


def test_an_api_server_that_is_away_for_a_moment_is_no_end(desk: Any) -> None:
    away = RetryLater("connection refused")
    done = desk(told(recovery()), away, away, told(over(), "True")).run("status", "flights", "--watch")
    assert (done.exit_code, done.stderr, done.stdout.splitlines()[-1]) == (0, "", BACK)


def test_an_interrupted_watch_changes_nothing(desk: Any) -> None:
    made = desk(told(recovery()), KeyboardInterrupt())
    done = made.run("status", "flights", "--watch")
    assert (done.exit_code, done.stderr.strip()) == (130, "penstock: interrupted")
    assert {verb for verb, _, _ in made.kube.calls} == {"get"}


# ---------------------------------------------------------------- on a terminal


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    return lambda width, height: monkeypatch.setattr(status, "_terminal", lambda: (width, height))


def test_on_a_terminal_it_is_drawn_over_itself(desk: Any, terminal: Any) -> None:
    terminal(100, 50)
    done = desk(told(recovery()), told(over(), "True")).run("status", "flights", "--watch")
    assert (done.exit_code, done.stderr) == (0, "")
    first, second = done.stdout.split("\x1b[15A")
    assert first.startswith("StreamJob:      flights\x1b[K\nState:          Running\x1b[K\n")
    assert (first.count("\n"), first.endswith("\n\x1b[J")) == (15, True)
    assert "[###############---------------] 52%\x1b[K\n" in first
    drawn, end = second.split("\x1b[J")
    assert "[##############################] 100%\x1b[K\n" in drawn
    assert end == f"{BACK}\n"


def test_on_a_small_terminal_nothing_wraps_or_scrolls_away(desk: Any, terminal: Any) -> None:
    terminal(30, 6)
    done = desk(told(recovery()), told(over(), "True")).run("status", "flights", "--watch")
    first, _ = done.stdout.split("\x1b[5A")
    lines = [line.removesuffix("\x1b[K") for line in first.splitlines()]
    assert lines[:3] == ["StreamJob:      flights", "State:          Running", "Version:        1, run aaaaaa"]
    assert (len(lines), lines[5]) == (6, "\x1b[J")


@pytest.mark.parametrize(("tty", "term"), [(True, "dumb"), (True, ""), (False, "xterm")])
def test_what_cannot_be_drawn_over(monkeypatch: pytest.MonkeyPatch, *, tty: bool, term: str) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: tty, raising=False)
    monkeypatch.setenv("TERM", term)
    assert status._terminal() is None


def test_the_size_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    for name, value in {"TERM": "xterm", "COLUMNS": "100", "LINES": "50"}.items():
        monkeypatch.setenv(name, value)
    assert status._terminal() == (100, 50)


# ---------------------------------------------------------------- deleted


def test_a_job_that_is_deleted_meanwhile(desk: Any) -> None:
    made: Desk = desk(told(recovery()))
    before = made.kube.before

    def deleted(verb: str, kind: str, name: str) -> None:
        before(verb, kind, name)
        if made.kube.calls:
            made.kube.objects.clear()

    made.kube.before = deleted
    done = made.run("status", "flights", "--watch")
    assert (done.exit_code, done.stderr) == (1, f"penstock: there is no StreamJob flights in namespace {NAMESPACE}\n")
