"""The reconcile of a SourceConnection: whether the broker answers, and how seldom that is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from penstock import clock
from penstock.connections import READY_SECONDS, TROUBLE_SECONDS, ConnectionKey, reconcile_connection
from penstock.errors import PenstockError, Refused, RetryLater, Stale
from penstock.settings import Settings
from penstock.source.access import Access
from penstock.source.answers import Cluster
from penstock.world import World
from tests.unit.builders import NOW, connection_manifest
from tests.unit.fakes import FakeKube, Manifest

SILENT = RetryLater("ask kafka-0.kafka.svc:9092: no answer")
REFUSED = Refused("ask kafka-0.kafka.svc:9092: SASL authentication error", "AuthenticationFailed")


class Stage:
    """A SourceConnection `events`, its broker, and a clock."""

    def __init__(self, stored: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kube = FakeKube(stored)
        self.now = NOW
        self.cluster = Cluster("abc", 3)
        self.error: PenstockError | None = None
        self.asked: list[Access] = []
        kube: Any = self.kube
        nothing: Any = None
        self.world = World(Settings(), kube, nothing, nothing, nothing)
        monkeypatch.setattr(clock, "now", lambda: self.now)

    async def ask(self) -> Cluster:
        if self.error is not None:
            raise self.error
        return self.cluster

    async def look(self) -> float | None:
        """One pass."""

        @asynccontextmanager
        async def connect(access: Access) -> AsyncIterator[Any]:
            self.asked.append(access)
            yield SimpleNamespace(cluster=self.ask)

        return await reconcile_connection(self.world, "events", connect)

    async def look_for(self, seconds: float) -> None:
        """Passes, each when the one before asked for it."""
        until = self.now + timedelta(seconds=seconds)
        while self.now < until:
            self.now += timedelta(seconds=await self.look() or 1.0)

    @property
    def stored(self) -> Manifest:
        return self.kube.of("SourceConnection")["events"]

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.stored.get("status") or {})

    def condition(self, kind: str) -> dict[str, Any]:
        return next((each for each in self.status["conditions"] if each["type"] == kind), {})

    @property
    def told(self) -> tuple[str, ...]:
        """Ready with its reason, Reconciling, Stalled."""
        ready = self.condition("Ready")
        return (ready["status"], ready["reason"], *(self.condition(k)["status"] for k in ("Reconciling", "Stalled")))

    @property
    def writes(self) -> int:
        return sum(verb == "status" for verb, _, _ in self.kube.calls)


@pytest.fixture
def stage(monkeypatch) -> Stage:
    return Stage(connection_manifest(), monkeypatch)


# ---------------------------------------------------------------- whether it answers


async def test_a_broker_that_answers(stage):
    assert await stage.look() == READY_SECONDS
    assert stage.told == ("True", "Answers", "False", "False")
    assert (stage.status["clusterId"], stage.status["brokers"]) == ("abc", 3)
    assert (stage.status["observedGeneration"], stage.condition("Ready")["observedGeneration"]) == (1, 1)
    assert stage.asked == [Access(("kafka-0.kafka.svc:9092",))]


async def test_one_that_never_answered_is_unknown(stage):
    stage.error = SILENT
    assert await stage.look() == TROUBLE_SECONDS
    assert stage.told == ("Unknown", "NotAnswering", "True", "False")
    assert stage.condition("Ready")["message"] == stage.condition("Reconciling")["message"] == str(SILENT)
    assert "clusterId" not in stage.status


async def test_one_that_was_ready_stays_so_for_a_minute_without_an_answer(stage):
    await stage.look()
    ready = stage.condition("Ready")
    stage.error = SILENT
    await stage.look_for(59)
    assert stage.condition("Ready") == ready
    assert stage.told == ("True", "Answers", "True", "False")
    await stage.look_for(20)
    assert stage.told == ("Unknown", "NotAnswering", "True", "False")
    assert stage.status["clusterId"] == "abc"  # what it was when it last answered


async def test_the_minute_begins_anew_with_every_answer(stage):
    for _ in range(5):
        stage.error = None
        await stage.look()
        stage.error = SILENT
        await stage.look_for(45)
        assert stage.told[0] == "True"


async def test_one_that_refuses_is_not_ready_at_once(stage):
    await stage.look()
    stage.error = REFUSED
    assert await stage.look() == TROUBLE_SECONDS
    assert stage.told == ("False", "AuthenticationFailed", "False", "True")
    assert stage.condition("Stalled")["message"] == str(REFUSED)


async def test_one_that_refused_and_then_is_silent_is_unknown(stage):
    stage.error = REFUSED
    await stage.look()
    stage.error = SILENT
    await stage.look()
    assert stage.told == ("Unknown", "NotAnswering", "True", "False")


async def test_an_answer_ends_all_trouble(stage):
    for error in (SILENT, REFUSED):
        stage.error = error
        await stage.look_for(100)
        stage.error = None
        assert await stage.look() == READY_SECONDS
        assert stage.told == ("True", "Answers", "False", "False")


async def test_a_changed_spec_has_no_grace(stage):
    await stage.look()
    stage.stored["metadata"]["generation"] = 2
    stage.error = SILENT
    await stage.look()
    assert stage.told[:2] == ("Unknown", "NotAnswering")
    assert stage.status["observedGeneration"] == 2


async def test_without_its_secret_it_is_not_usable(monkeypatch):
    sasl = {"mechanism": "SCRAM-SHA-512", "secretRef": {"name": "login"}}
    stage = Stage(connection_manifest(security={"sasl": sasl}), monkeypatch)
    assert await stage.look() == TROUBLE_SECONDS
    assert stage.told == ("False", "SecretNotFound", "False", "True")
    assert stage.asked == []


# ---------------------------------------------------------------- what is not looked at


async def test_one_that_is_gone_wants_no_other_look(stage):
    stage.kube.objects.clear()
    assert await stage.look() is None


async def test_one_that_is_going_is_left_alone(stage):
    stage.stored["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z"
    assert await stage.look() is None
    assert (stage.asked, stage.writes) == ([], 0)


async def test_one_that_cannot_be_read_is_left_alone(stage):
    stage.stored["spec"] = {"pulsar": {}}
    assert await stage.look() is None
    assert stage.writes == 0


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize("error", [None, SILENT, REFUSED], ids=["answers", "silent", "refuses"])
async def test_nothing_is_written_when_nothing_has_changed(stage, error):
    stage.error = error
    await stage.look()
    assert stage.writes == 1
    await stage.look_for(500)
    assert stage.writes == 1


async def test_when_it_was_last_checked_is_at_most_ten_minutes_behind(stage):
    for _ in range(10):
        await stage.look_for(300)
        assert stage.now - datetime.fromisoformat(stage.status["lastChecked"]) <= timedelta(minutes=11)
    assert 4 <= stage.writes <= 6


async def test_silence_in_other_words_is_not_written_again(stage):
    """Of several brokers one or the other is told of."""
    for number in range(20):
        stage.error = RetryLater(f"no answer (kafka-{number % 3}: Connection refused)")
        await stage.look_for(15)
    assert stage.writes == 1
    assert "kafka-0" in stage.condition("Reconciling")["message"]


async def test_but_at_length_the_newest_words_are_told(stage):
    stage.error = RetryLater("no answer (kafka-0: Connection refused)")
    await stage.look()
    stage.error = RetryLater("no answer (kafka-1: no such name)")
    await stage.look_for(700)
    assert "kafka-1" in stage.condition("Reconciling")["message"]
    assert stage.writes == 2


async def test_refusal_in_other_words_is_written(stage):
    stage.error = Refused("Secret login has no text in key username", "SecretIncomplete")
    await stage.look()
    stage.error = Refused("Secret login has no text in key password", "SecretIncomplete")
    await stage.look()
    assert "password" in stage.condition("Ready")["message"]


async def test_a_broker_more_is_written(stage):
    await stage.look()
    stage.cluster = Cluster("abc", 4)
    await stage.look()
    assert (stage.status["brokers"], stage.writes) == (4, 2)


async def test_what_somebody_else_has_changed_is_not_written_over(stage):
    def change(verb: str, kind: str, _name: str) -> None:
        if (verb, kind) == ("status", "SourceConnection"):
            stage.stored["metadata"]["resourceVersion"] = "999"

    stage.kube.before = change
    with pytest.raises(Stale):
        await stage.look()
    assert stage.status == {}


def test_a_key_reads_well_in_the_log():
    assert str(ConnectionKey("events")) == "SourceConnection events"
