"""Brokers are asked in the background, and not again and again."""

from __future__ import annotations

import asyncio

import pytest

from penstock import clock
from penstock.errors import Refused, RetryLater
from penstock.source.answers import Measured
from penstock.source.held import SourceWish
from penstock.source.measurer import Measurer

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
        self.measurer.ask(wish, "flights")
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
