"""Only one operator works at a time."""

from __future__ import annotations

import asyncio

import pytest

from penstock import lease as module
from penstock.errors import RetryLater
from penstock.lease import LEASE_NAME, Lease, LeaseLost
from tests.unit.fakes import FakeKube, Manifest

NAMESPACE = "penstock-system"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A monotonic clock that only sleeping turns."""
    now = [1000.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds
        await _yield()

    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    return now


_yield_to = asyncio.sleep


async def _yield() -> None:
    await _yield_to(0)


def lease(kube: FakeKube, identity: str = "me", seconds: int = 15) -> Lease:
    return Lease(kube, NAMESPACE, identity, seconds)  # type: ignore[arg-type]


def held_by(holder: str) -> Manifest:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": LEASE_NAME, "namespace": NAMESPACE},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 3, "acquireTime": "x"},
    }


def spec(kube: FakeKube) -> Manifest:
    return dict(kube.of("Lease")[LEASE_NAME]["spec"])


async def test_the_first_operator_makes_the_lease(clock) -> None:
    kube = FakeKube()
    await lease(kube).acquire()
    assert spec(kube)["holderIdentity"] == "me"
    assert clock[0] == 1000


async def test_a_free_or_an_own_lease_is_taken_at_once(clock) -> None:
    for holder in ("", "me"):
        kube = FakeKube(held_by(holder))
        await lease(kube).acquire()
        assert spec(kube)["holderIdentity"] == "me"
    assert clock[0] == 1000


async def test_a_lease_that_is_not_renewed_is_taken_after_its_whole_time(clock) -> None:
    kube = FakeKube(held_by("other"))
    await lease(kube).acquire()
    assert 1015 < clock[0] < 1025
    assert spec(kube)["leaseTransitions"] == 4


async def test_a_lease_that_is_renewed_is_never_taken(clock) -> None:
    kube = FakeKube(held_by("other"))

    def renew(verb: str, _kind: str, _name: str) -> None:
        if verb == "get" and clock[0] < 1100:
            key = ("Lease", NAMESPACE, LEASE_NAME)
            kube.objects[key]["metadata"]["resourceVersion"] = str(clock[0])

    kube.before = renew
    await lease(kube).acquire()
    assert clock[0] > 1115


async def test_of_two_that_wait_one_gets_it() -> None:
    kube = FakeKube(held_by("gone"))
    waiting = [asyncio.create_task(lease(kube, name).acquire()) for name in ("one", "two")]
    done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == 1
    for task in pending:
        task.cancel()


async def test_a_lease_is_renewed(clock) -> None:
    kube = FakeKube()
    mine = lease(kube)
    await mine.acquire()
    task = asyncio.create_task(mine.hold())
    while clock[0] < 1100:
        await _yield()
    assert not task.done()
    task.cancel()
    assert spec(kube)["leaseTransitions"] == 1


async def test_one_that_another_has_taken_is_lost() -> None:
    kube = FakeKube()
    mine = lease(kube)
    await mine.acquire()
    kube.objects["Lease", NAMESPACE, LEASE_NAME]["spec"]["holderIdentity"] = "other"
    with pytest.raises(LeaseLost, match="another operator"):
        await mine.hold()


async def test_one_that_cannot_be_renewed_is_lost_before_another_may_take_it(clock) -> None:
    kube = FakeKube()
    mine = lease(kube)
    await mine.acquire()

    def fail(*_: str) -> None:
        raise RetryLater("no answer")

    kube.before = fail
    with pytest.raises(LeaseLost, match="could not be renewed"):
        await mine.hold()
    assert clock[0] < 1015


async def test_a_short_outage_of_the_api_is_no_loss(clock) -> None:
    kube = FakeKube()
    mine = lease(kube)
    await mine.acquire()

    def fail_for_a_moment(*_: str) -> None:
        if 1003 <= clock[0] < 1008:
            raise RetryLater("no answer")

    kube.before = fail_for_a_moment
    task = asyncio.create_task(mine.hold())
    while clock[0] < 1050:
        await _yield()
    assert not task.done()
    task.cancel()


async def test_letting_go_spares_the_next_one_the_wait(clock) -> None:
    kube = FakeKube()
    mine = lease(kube)
    await mine.acquire()
    await mine.release()
    await lease(kube, "next").acquire()
    assert clock[0] == 1000


async def test_another_ones_lease_is_not_let_go() -> None:
    kube = FakeKube(held_by("other"))
    await lease(kube).release()
    assert spec(kube)["holderIdentity"] == "other"


async def test_failing_to_let_go_is_harmless() -> None:
    kube = FakeKube(held_by("me"))

    def fail(*_: str) -> None:
        raise RetryLater("no answer")

    kube.before = fail
    await lease(kube).release()


async def test_an_api_server_that_is_away_is_waited_for(clock) -> None:
    """Seen in the code: an operator that started meanwhile ended with a trace, and was away for minutes."""
    kube = FakeKube()

    def away(*_: str) -> None:
        if clock[0] < 1060:
            raise RetryLater("no answer")

    kube.before = away
    await lease(kube).acquire()
    assert 1060 <= clock[0] < 1065


@pytest.mark.parametrize("verb", ["get", "replace"])
async def test_a_call_that_takes_long_does_not_lengthen_the_lease(clock, verb: str) -> None:
    kube = FakeKube()
    mine = lease(kube)
    await mine.acquire()
    slow = getattr(kube, verb)

    async def call(*given: object) -> object:
        for _ in range(100):
            clock[0] += 0.1
            await _yield()
        return await slow(*given)

    setattr(kube, verb, call)
    with pytest.raises(LeaseLost, match="could not be renewed"):
        await mine.hold()
    assert clock[0] < 1000 + 10.5


async def test_nothing_begins_after_two_thirds_of_its_time(clock) -> None:
    """Whatever begins may last for the last third, and the loop that should have told may have stood still."""
    held = lease(FakeKube())
    assert not held.may_act()
    await held.acquire()
    clock[0] += 9.9
    assert held.may_act()
    clock[0] += 0.2
    assert not held.may_act()
