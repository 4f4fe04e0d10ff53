"""Which points are the same point: the rule, what it is told, and that the operator cannot tell folded errors apart."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio import client as aio

from penstock import events
from penstock.errors import PenstockError
from penstock.flink.client import FlinkRest
from penstock.kube import resources
from penstock.kube.client import Kube
from tests.crash import folding, runner
from tests.crash.effects import Effect
from tests.crash.faults import ERRORS, KILLS, Fault, Way, refusal
from tests.crash.flink import Flink, Job, Operation
from tests.crash.folding import LIMIT_SECONDS, Folded, fold
from tests.crash.moments import Moment, Moments
from tests.crash.processes import ROOT
from tests.crash.runner import Learned, Outcome
from tests.crash.scenarios import SCENARIOS, Scenario

PUT, APPLY, EVENT = Effect("PUT streamjobs/flow/status", 1), Effect("APPLY jobs/flow", 1), Effect("POST events/New", 1)
ALL = [Fault(effect, way) for effect in (PUT, APPLY, EVENT) for way in KILLS]


def _run(*worlds: str, effects: tuple[Effect, ...] = (PUT, APPLY, EVENT)) -> list[Moment]:
    """One effect after the other, a tenth of a second each; what the world was before and after each of them."""
    pairs = zip(worlds[::2], worlds[1::2], strict=True)
    return [
        Moment(effect, before, after, moves=False, arrived=number * 0.2, ended=number * 0.2 + 0.1)
        for number, (effect, (before, after)) in enumerate(zip(effects, pairs, strict=True))
    ]


def _played(first: list[Moment], second: list[Moment] | None = None) -> list[Fault]:
    gone = {each.point for each in fold(ALL, first, first if second is None else second)}
    return [each for each in ALL if each not in gone]


STILL = _run("a", "b", "b", "c", "c", "c")
"""Nothing changes but by the effects, and what the last one changes nobody can see."""


def test_a_world_that_stands_still_is_one_world():
    assert _played(STILL) == [Fault(PUT, Way.BEFORE), Fault(PUT, Way.LOST), Fault(APPLY, Way.LOST)]
    told = {str(each) for each in fold(ALL, STILL, STILL)}
    assert f"{APPLY}, killed before, like {PUT}, killed after, answer lost: nothing had changed since" in told
    assert f"{APPLY}, killed after, answer given, like {APPLY}, killed after, answer lost: {folding._AT_REST}" in told
    assert f"{EVENT}, killed before, like {APPLY}, killed after, answer lost: nothing had changed since" in told


def test_a_world_that_changed_in_between_is_not_folded():
    changed = _run("a", "b", "B", "c", "c", "c")
    assert Fault(APPLY, Way.BEFORE) in _played(changed)
    assert Fault(APPLY, Way.BEFORE) in _played(STILL, changed)  # one of the two runs is enough
    assert Fault(APPLY, Way.BEFORE) in _played(changed, STILL)


def test_a_world_that_would_have_moved_on_is_not_folded():
    moves = [replace(each, moves=each.effect == PUT) for each in STILL]
    lost, given = Fault(PUT, Way.LOST), Fault(PUT, Way.GIVEN)
    assert {lost, given} <= set(_played(moves))
    assert {lost, given} <= set(_played(STILL, moves))
    # It moves on to the same, whether an unseen effect came or not.
    both = [replace(each, moves=True) for each in STILL]
    assert Fault(APPLY, Way.LOST) in _played(both)
    assert Fault(EVENT, Way.LOST) not in _played(both)


def test_writes_that_overlap_are_not_folded():
    beside = [replace(each, alone=each.effect != APPLY) for each in STILL]
    assert {fault for fault in ALL if fault.effect == APPLY} <= set(_played(beside))
    assert {fault for fault in ALL if fault.effect == APPLY} <= set(_played(STILL, beside))


def test_a_world_that_was_not_seen_whole_is_not_folded():
    unsure = [replace(each, after=None if each.effect == PUT else each.after) for each in STILL]
    assert {Fault(PUT, Way.LOST), Fault(PUT, Way.GIVEN), Fault(APPLY, Way.BEFORE)} <= set(_played(unsure))


def test_what_the_clock_could_tell_is_not_folded():
    late = [replace(each, arrived=each.arrived + LIMIT_SECONDS * (each.effect != PUT)) for each in STILL]
    assert Fault(APPLY, Way.BEFORE) in _played(late)
    assert Fault(APPLY, Way.BEFORE) in _played(STILL, late)


def test_many_short_times_are_a_long_one():
    effects = tuple(Effect("POST events/New", number) for number in range(1, 8))
    apart = LIMIT_SECONDS / 3
    slow = [Moment(each, "a", "a", moves=False, arrived=n * apart, ended=n * apart) for n, each in enumerate(effects)]
    points = [Fault(each, Way.BEFORE) for each in effects]
    assert [points.index(each.into) for each in fold(points, slow, slow)] == [0, 0, 3, 3]


def test_another_order_in_the_second_run_is_not_folded():
    other = _run("a", "b", "b", "c", "c", "c", effects=(APPLY, PUT, EVENT))
    assert {Fault(PUT, Way.BEFORE), Fault(APPLY, Way.BEFORE), Fault(EVENT, Way.BEFORE)} <= set(_played(STILL, other))


def test_an_effect_that_the_second_run_does_not_have_is_not_folded():
    assert set(ALL[-3:]) <= set(_played(STILL, STILL[:2]))
    assert fold(ALL, [], []) == []


def test_what_is_not_among_the_points_does_not_stand_for_others():
    chosen = [Fault(PUT, Way.GIVEN), Fault(APPLY, Way.BEFORE), Fault(PUT, Way.INTERNAL)]
    assert fold(chosen, STILL, STILL) == [Folded(chosen[1], chosen[0], "nothing had changed since")]


@pytest.mark.parametrize("as_learned", [True, False])
async def test_a_kill_that_came_otherwise_stands_for_itself(monkeypatch: pytest.MonkeyPatch, *, as_learned: bool):
    played = []

    async def play(_lab: object, scenario: Scenario, fault: Fault, *_: object, **__: object) -> Outcome:
        played.append(fault)
        return Outcome(scenario.name, str(fault), as_learned=as_learned or fault != Fault(APPLY, Way.LOST))

    monkeypatch.setattr(runner, "play", play)
    learned = Learned(SCENARIOS[0], "", "", (PUT, APPLY, EVENT), moments=tuple(STILL), twins=tuple(STILL))
    work = runner.folded([(learned, fault) for fault in ALL])
    told: list[Outcome] = []
    outcomes = await runner.play_all(object(), work, 2, told.append)  # type: ignore[arg-type]
    # Of what was folded into it nothing is left out, and of the others all is.
    own = [] if as_learned else [Fault(APPLY, Way.GIVEN), *(Fault(EVENT, way) for way in KILLS)]
    assert sorted(map(str, played)) == sorted(map(str, [*_played(STILL), *own]))
    assert len(outcomes) + len(work.folded) == len(ALL)
    assert len(told) == len(outcomes)


# ------------------------------------------------------------ what is kept of a run


async def test_moments_that_overlap_know_it():
    worlds = iter("abcdef")

    async def look() -> str:
        return next(worlds)

    kept = Moments(look, lambda: False)
    async with kept.of(PUT), kept.of(None):  # one that only tells is no moment, but is beside one
        pass
    async with kept.of(APPLY):
        pass
    assert [(each.effect, each.before, each.after, each.alone) for each in kept.all] == [
        (PUT, "a", "d", False),
        (APPLY, "e", "f", True),
    ]


class Keys:
    """A bucket."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes) -> None:
        self.content[key] = data

    async def get(self, key: str) -> bytes | None:
        return self.content.get(key)

    async def keys(self, prefix: str) -> dict[str, int]:
        return {key: len(data) for key, data in self.content.items() if key.startswith(prefix)}

    async def delete(self, keys: list[str]) -> None:
        for key in keys:
            self.content.pop(key, None)


RUN = "0" * 32


async def _flink() -> Flink:
    flink = Flink(Keys())
    await flink.start("host", Job(RUN, "flow", "", "s3://b/checkpoints", "s3://b/ha"))
    return flink


async def test_flink_says_truly_whether_it_would_move_on():
    flink = await _flink()
    for moves, then in (
        (True, "look"),
        (True, "look"),
        (False, "trigger"),
        (True, "poll"),
        (True, "poll"),
        (False, ""),
    ):
        before = flink.standing()
        assert flink.has_to_move_on is moves
        if not moves:
            await flink.move_on()
            assert flink.standing() == before
        match then:
            case "look":
                await flink.answer("host", "GET", f"/jobs/{RUN}", None)
            case "trigger":
                asked = {"triggerId": "1" * 32, "target-directory": "s3://b/savepoints"}
                await flink.answer("host", "POST", f"/jobs/{RUN}/savepoints", asked)
            case "poll":
                await flink.answer("host", "GET", f"/jobs/{RUN}/savepoints/{'1' * 32}", None)
        # A first look and a first poll change what the second one is answered.
        assert (flink.standing() != before) is bool(then)
    assert flink.jobs["host"].savepoints


async def test_looking_at_a_job_at_rest_changes_nothing():
    flink = await _flink()
    await flink.move_on()
    for path in (f"/jobs/{RUN}", f"/jobs/{RUN}", f"/jobs/{RUN}/checkpoints"):
        await flink.answer("host", "GET", path, None)
    before = flink.standing()
    for path in (f"/jobs/{RUN}", f"/jobs/{RUN}/checkpoints", f"/jobs/{RUN}/exceptions", "/applications/overview"):
        await flink.answer("host", "GET", path, None)
    assert flink.standing() == before


async def test_whatever_flink_becomes_is_seen():
    flink = await _flink()
    job = flink.jobs["host"]
    changes: list[tuple[Any, str, Any]] = [
        (job, "state", "RUNNING"),
        (job, "number", 7),
        (job, "failure", "x"),
        (job, "looks", 1),
        (job, "restored", {"id": 1}),
        (job, "history", [{"id": 1, "discarded": False}]),
        (job, "history", [{"id": 1, "discarded": True}]),
        (job, "operations", {(RUN, "1"): Operation("s3://b", stop=False)}),
        (job, "operations", {(RUN, "1"): Operation("s3://b", stop=False, polls=1)}),
        (job, "savepoints", ["s3://b/1"]),
        (flink, "refusals", 1),
        (flink, "ahead_millis", 1),
        (flink, "jobs", {}),
    ]
    for what, name, value in changes:
        before = flink.standing()
        setattr(what, name, value)
        assert flink.standing() != before, name


# ------------------------------------------------------------ errors that are the same


def test_which_errors_are_folded():
    effects = [PUT, EVENT, Effect("POST flink stop", 1), Effect("PUT s3 NS/penstock.json", 1)]
    points = [Fault(effect, way) for effect in effects for way in ERRORS]
    found = [(effects.index(each.point.effect), each.point.way, each.into.way) for each in fold(points, [], [])]
    assert found == [
        (0, Way.INTERNAL, Way.TOO_MANY),
        (1, Way.TOO_MANY, Way.CONFLICT),
        (1, Way.INTERNAL, Way.CONFLICT),
        (2, Way.TOO_MANY, Way.CONFLICT),
    ]


class Refusing:
    """A server that refuses everything as an injected error does."""

    def __init__(self, side: str) -> None:
        self._side, self.way, self.asked = side, Way.CONFLICT, 0

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        body, kind = refusal(self._side, self.way.refuses)
        return web.Response(status=self.way.refuses, body=body, headers={"Content-Type": kind})

    def server(self) -> TestServer:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        return TestServer(app)


def _known(error: PenstockError) -> tuple[type, dict[str, Any], str]:
    """All that a caller can know of an error, but the status that its words quote, and that nobody reads."""
    text = re.sub(r"429 TooManyRequests|500 InternalError|\b409\b|\b429\b", "(status)", str(error))
    return type(error), {key: value for key, value in vars(error).items() if key != "status"}, text


def test_nobody_reads_the_status_of_a_refusal():
    """By `reason` and by its type alone an error is told from another; the command line may know more."""
    for path in (ROOT / "operator/penstock").rglob("*.py"):
        trees = [] if "cli" in path.parts else ast.walk(ast.parse(path.read_text()))
        for handler in (each for each in trees if isinstance(each, ast.ExceptHandler) and each.name):
            read = [each for each in ast.walk(handler) if isinstance(each, ast.Attribute) and each.attr == "status"]
            assert handler.name not in [ast.unparse(each.value) for each in read], f"{path}:{handler.lineno}"


async def test_kubernetes_client_makes_the_same_of_429_and_500():
    manifest = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a", "namespace": "n"}}
    refusing, seen = Refusing("kubernetes"), {}
    async with refusing.server() as server:
        configuration = aio.Configuration()
        configuration.host = str(server.make_url("")).rstrip("/")
        kube = Kube(configuration)
        calls = {
            "create": lambda: kube.create(manifest),
            "apply": lambda: kube.apply(manifest),
            "replace": lambda: kube.replace(resources.JOBS, manifest),
            "replace_status": lambda: kube.replace_status(resources.JOBS, manifest),
            "merge": lambda: kube.merge(resources.JOBS, "n", "a", {}),
            "delete": lambda: kube.delete(resources.JOBS, "n", "a"),
        }
        for refusing.way in (Way.TOO_MANY, Way.INTERNAL):
            for name, call in calls.items():
                before = refusing.asked
                with pytest.raises(PenstockError) as caught:
                    await call()
                seen[name, refusing.way] = (*_known(caught.value), refusing.asked - before)
        await kube.close()
    assert all(seen[name, Way.TOO_MANY] == seen[name, Way.INTERNAL] for name in calls)


async def test_flink_client_makes_the_same_of_409_and_429():
    refusing, seen = Refusing("flink"), {}
    async with refusing.server() as server, aiohttp.ClientSession() as session:
        flink, base = FlinkRest(session), str(server.make_url("")).rstrip("/")
        calls = {
            "savepoint": lambda: flink.savepoint(base, RUN, "1" * 32, "s3://b", "CANONICAL"),
            "stop": lambda: flink.stop(base, RUN, "1" * 32, "s3://b", "CANONICAL"),
            "cancel": lambda: flink.cancel(base, RUN),
        }
        for refusing.way in (Way.CONFLICT, Way.TOO_MANY):
            for name, call in calls.items():
                before = refusing.asked
                with pytest.raises(PenstockError) as caught:
                    await call()
                seen[name, refusing.way] = (*_known(caught.value), refusing.asked - before)
    assert all(seen[name, Way.CONFLICT] == seen[name, Way.TOO_MANY] for name in calls)


@pytest.mark.parametrize("way", [Way.CONFLICT, Way.TOO_MANY, Way.INTERNAL])
async def test_of_a_refused_event_nothing_is_made(way: Way, monkeypatch: pytest.MonkeyPatch):
    meta = type("Meta", (), {"name": "flow", "namespace": "n", "uid": "u"})()
    target = type("Target", (), {"metadata": meta})()
    monkeypatch.setattr(events, "target_of", lambda *_: target)
    note = type("Note", (), {"kind": "StreamJob", "name": "", "type": "Normal", "reason": "New", "message": "m"})()
    refusing = Refusing("kubernetes")
    refusing.way = way
    async with refusing.server() as server:
        configuration = aio.Configuration()
        configuration.host = str(server.make_url("")).rstrip("/")
        kube = Kube(configuration)
        await events.post(kube, object(), (note, note))  # type: ignore[arg-type]
        await kube.close()
    assert refusing.asked == 2


def test_the_operator_may_not_read_what_is_left_out_of_the_world():
    """An Event that is there or not is the same world only as long as no operator can see it."""
    found = yaml.safe_load_all((ROOT / "manifests/operator/operator.yaml").read_text())
    rules = [rule for each in found if each and each["kind"] in ("Role", "ClusterRole") for rule in each["rules"]]
    verbs = {verb for rule in rules if {"events", "*"} & set(rule["resources"]) for verb in rule["verbs"]}
    assert verbs == {"create"}


def test_injected_errors_say_what_the_tests_above_leave_out():
    told = {way: json.loads(refusal("kubernetes", way.refuses)[0]) for way in ERRORS if way.refuses}
    assert [(each["code"], each["reason"]) for each in told.values()] == [
        (409, "Conflict"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
    ]
