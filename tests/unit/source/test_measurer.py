"""Brokers are asked in the background, and not again and again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from penstock import clock
from penstock.errors import Refused, RetryLater
from penstock.source.answers import Measured
from penstock.source.held import SourceWish
from penstock.source.measurer import PACE, Measurer
from penstock.verdict import Positions

WISH = SourceWish("team", "kafka", ("flights",), "1/")
FOUND = Measured((), ("flights",))


class Broker:
    """Answers in its own time."""

    def __init__(self) -> None:
        self.asked: list[SourceWish] = []
        self.woken: list[tuple[str, str]] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.measurer = Measurer(self._look, lambda *job: self.woken.append(job))

    async def _look(self, wish: SourceWish) -> Measured:
        self.asked.append(wish)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return FOUND

    async def answer(self, wish: SourceWish = WISH) -> object:
        self.measurer.ask(wish, "flights", read if wish.watched else None)
        await self.measurer.wait([wish], 1)
        return self.measurer.ask(wish, "flights")


async def test_the_answer_comes_later_and_wakes_the_job():
    broker = Broker()
    assert broker.measurer.ask(WISH, "flights") is None
    assert broker.measurer.ask(WISH, "flights") is None
    await broker.measurer.wait([WISH], 1)
    held = broker.measurer.ask(WISH, "flights")
    assert held is not None
    assert (held.measured, held.trouble, held.problem) == (FOUND, "", "")
    assert (broker.asked, broker.woken) == ([WISH], [("team", "flights")])


async def test_a_broker_that_takes_its_time_is_not_waited_for():
    broker = Broker()
    broker.gate.clear()
    assert broker.measurer.ask(WISH, "flights") is None
    await broker.measurer.wait([WISH], 0.01)
    assert broker.measurer.ask(WISH, "flights") is None
    broker.gate.set()
    assert await broker.answer() is not None


async def test_another_start_asks_anew():
    broker = Broker()
    await broker.answer()
    other = SourceWish("team", "kafka", ("flights",), "2/")
    assert broker.measurer.ask(other, "flights") is None
    await broker.measurer.wait([other], 1)
    assert broker.asked == [WISH, other]


@pytest.mark.parametrize(
    ("error", "trouble", "problem"),
    [
        (RetryLater("no broker answers"), "no broker answers", ""),
        (Refused("no such connection", "SourceNotUsable"), "", "no such connection"),
        (ZeroDivisionError("a bug"), "measuring failed: ZeroDivisionError", ""),
    ],
)
async def test_errors_are_answers(error: Exception, trouble: str, problem: str):
    broker = Broker()
    broker.error = error
    held = await broker.answer()
    assert (held.measured, held.trouble, held.problem) == (None, trouble, problem)


async def test_it_is_asked_again_after_a_while(monkeypatch: pytest.MonkeyPatch):
    broker = Broker()
    broker.error = RetryLater("no broker answers")
    silent = await broker.answer()
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now.replace(year=now.year + 1))
    broker.error = None
    assert broker.measurer.ask(WISH, "flights") is silent, "that it was silent counts until it answers"
    await broker.measurer.wait([WISH], 1)
    held = broker.measurer.ask(WISH, "flights")
    assert held is not None
    assert held.measured is FOUND


# ---------------------------------------------------------------- a run that is watched

WATCHED = SourceWish("team", "kafka", ("flights",), watched="a" * 32, state="s3://bucket/chk-7")
LATER = SourceWish("team", "kafka", ("flights",), watched="a" * 32, state="s3://bucket/chk-8")
FOUND_AT = Positions({("flights", 0): 7})


async def read() -> Positions | None:
    return FOUND_AT


async def test_where_its_state_goes_on_is_read_with_it():
    broker = Broker()
    assert broker.measurer.ask(WATCHED, "flights", read) is None
    await broker.measurer.wait([WATCHED], 1)
    held = broker.measurer.ask(WATCHED, "flights", read)
    assert held is not None
    assert (held.measured, held.positions) == (FOUND, FOUND_AT)


async def test_a_newer_state_is_no_other_wish_and_waits_for_the_next_look(monkeypatch: pytest.MonkeyPatch):
    broker = Broker()
    await broker.answer(WATCHED)
    held = broker.measurer.ask(LATER, "flights", read)
    assert held is not None
    assert held.wish.state == WATCHED.state
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + PACE * 0.9)
    assert broker.measurer.ask(LATER, "flights", read) is held
    monkeypatch.setattr(clock, "now", lambda: now + PACE)
    assert broker.measurer.ask(LATER, "flights", read) is None
    await broker.measurer.wait([LATER], 1)
    assert [wish.state for wish in broker.asked] == [WATCHED.state, LATER.state]


async def test_a_state_that_was_taken_away_is_tried_again_soon(monkeypatch: pytest.MonkeyPatch):
    async def gone() -> Positions | None:
        return None

    broker = Broker()
    broker.measurer.ask(WATCHED, "flights", gone)
    await broker.measurer.wait([WATCHED], 1)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + PACE / 10)
    held = broker.measurer.ask(WATCHED, "flights", gone)
    assert held is not None
    assert held.positions is None
    monkeypatch.setattr(clock, "now", lambda: now + PACE / 4)
    assert broker.measurer.ask(LATER, "flights", read) is None
    await broker.measurer.wait([LATER], 1)
    held = broker.measurer.ask(LATER, "flights", read)
    assert held is not None
    assert held.positions == FOUND_AT


async def test_another_run_is_another_wish():
    broker = Broker()
    await broker.answer(WATCHED)
    assert broker.measurer.ask(SourceWish("team", "kafka", ("flights",), watched="b" * 32), "flights") is None
    assert broker.measurer.ask(WISH, "flights") is None


@pytest.mark.parametrize("error", [RetryLater("time-out"), Refused("no", "AccessDenied")])
async def test_a_state_that_cannot_be_read_now_is_an_answer(error: Exception):
    async def fail() -> Positions | None:
        raise error

    broker = Broker()
    broker.measurer.ask(WATCHED, "flights", fail)
    await broker.measurer.wait([WATCHED], 1)
    held = broker.measurer.ask(WATCHED, "flights", fail)
    assert held is not None
    assert (held.measured, held.trouble or held.problem) == (None, str(error))
    assert broker.asked == []


async def test_a_silent_broker_is_asked_at_the_same_slow_pace(monkeypatch: pytest.MonkeyPatch):
    broker = Broker()
    broker.error = RetryLater("no broker answers")
    silent = await broker.answer(WATCHED)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + PACE * 0.9)
    assert broker.measurer.ask(WATCHED, "flights") is silent
    assert broker.asked == [WATCHED]


@pytest.mark.parametrize(("why", "at_a_time"), [("watched", 1), ("followed", 2)])
async def test_no_start_waits_behind_runs_that_are_looked_at(why: str, at_a_time: int):
    broker = Broker()
    broker.gate.clear()
    for number in range(9):
        wish = replace(SourceWish("team", "kafka", ("flights",)), **{why: f"{number}"})
        broker.measurer.ask(wish, "flights")
    broker.measurer.ask(WISH, "flights")
    await broker.measurer.wait([WISH], 0.05)
    assert WISH in broker.asked
    assert len(broker.asked) == 1 + at_a_time
    broker.gate.set()
    await broker.answer()


# ---------------------------------------------------------------- a recovery that is followed

FOLLOWED = SourceWish("team", "kafka", ("flights",), followed="run/1")


@pytest.mark.parametrize("error", [None, RetryLater("no broker answers")])
async def test_a_recovery_gets_a_new_answer_at_each_look(error: Exception | None, monkeypatch: pytest.MonkeyPatch):
    broker = Broker()
    broker.error = error
    first = await broker.answer(FOLLOWED)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(seconds=2))
    assert broker.measurer.ask(FOLLOWED, "flights") is first
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(seconds=5))
    assert await broker.answer(FOLLOWED) is not first
    assert len(broker.asked) == 2
