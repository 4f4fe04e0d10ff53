"""The harness's own parts: what an effect is called, what is masked, and which points there are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.names import retained_checkpoint
from tests.crash import runner, snapshot
from tests.crash.effects import Effect, Request, name_of
from tests.crash.faults import ERRORS, KILLS, refusal
from tests.crash.scenarios import SCENARIOS

RUN, UID = "0123456789abcdef0123456789abcdef", "11111111-2222-4333-8444-555555555555"
APPLY = {"Content-Type": "application/apply-patch+yaml"}
DELETED = (
    b"<Delete><Object><Key>run-7/run-7/flow-%s/a</Key></Object><Object><Key>b</Key></Object></Delete>" % UID.encode()
)
REQUESTS: list[tuple[str, str, dict[str, str], Any, str | None]] = [
    ("GET", "/apis/penstock.dev/v1alpha1/namespaces/run-7/streamjobs/flow", {}, None, None),
    ("PUT", "/apis/coordination.k8s.io/v1/namespaces/run-7/leases/penstock-operator", {}, {}, None),
    ("GET", f"/flink/flow-01234567-jobmanager.run-7.svc/jobs/{RUN}", {}, None, None),
    (
        "PUT",
        "/apis/penstock.dev/v1alpha1/namespaces/run-7/streamjobs/flow/status?fieldManager=penstock",
        {},
        {},
        "PUT streamjobs/flow/status",
    ),
    ("PATCH", "/api/v1/namespaces/run-7/secrets/flow-01234567-job?force=true", APPLY, {}, "APPLY secrets/flow-*-job"),
    ("PATCH", "/apis/penstock.dev/v1alpha1/checkpointstores/run-7", {}, {}, "PATCH checkpointstores/NS"),
    (
        "POST",
        "/api/v1/namespaces/run-7/configmaps",
        {},
        {"metadata": {"name": "flow-01234567-permit"}},
        "POST configmaps/flow-*-permit",
    ),
    (
        "POST",
        "/api/v1/namespaces/run-7/events",
        {},
        {"metadata": {"name": "flow-1234-5678"}, "reason": "Starting"},
        "POST events/Starting",
    ),
    ("POST", f"/flink/flow-01234567-jobmanager.run-7.svc/jobs/{RUN}/stop", {}, {}, "POST flink stop"),
    ("PATCH", f"/flink/flow-01234567-jobmanager.run-7.svc/jobs/{RUN}?mode=cancel", {}, None, "PATCH flink cancel"),
    ("PUT", f"/crash/run-7/run-7/flow-{UID}/tombstones/{UID}.json", {}, {}, "PUT s3 NS/NS/flow-*/tombstones/*.json"),
    ("POST", "/crash?delete", {}, DELETED, "DELETE s3 2 keys, first NS/NS/flow-*/a"),
]


@pytest.mark.parametrize(("method", "target", "headers", "body", "name"), REQUESTS, ids=[each[1] for each in REQUESTS])
def test_what_an_effect_is_called(method: str, target: str, headers: dict[str, str], body: Any, name: str | None):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert name_of(Request(method, target, headers, data), "run-7") == name


def _seen(run: str, uid: str, space: str) -> dict[str, Any]:
    meta = {"name": "flow", "namespace": space, "uid": uid, "resourceVersion": uid[:3]}
    status = {"run": {"id": run, "startedAt": "2026-01-31T12:00:00Z"}, "lastError": {"message": "no"}}
    stream_job = {"kind": "StreamJob", "metadata": meta, "status": status}
    runs = [{"run": run, "restored from": "", "state": "RUNNING", "savepoints": []}]
    keys = {f"{space}/flow-{uid}/checkpoints/{run}/chk-1/_metadata": 24}
    return {"objects": [stream_job], "keys": keys, "flink": {"runs": runs}, "names": [space, "http://127.0.0.1:1"]}


def test_only_what_is_random_is_masked():
    one = snapshot.text_of(_seen(RUN, UID, "run-7"))
    assert one == snapshot.text_of(_seen(RUN[::-1], UID.replace("2", "9"), "run-8"))
    assert "(run 1)" in one
    assert RUN not in one
    other = _seen(RUN, UID, "run-7")
    other["objects"][0]["status"]["run"]["id"] = RUN[::-1]  # a run that Flink never started
    assert snapshot.text_of(other) != one


def test_an_injected_error_may_be_told_of():
    quiet = _seen(RUN, UID, "run-7")
    del quiet["objects"][0]["status"]["lastError"]
    assert snapshot.text_of(quiet) != snapshot.text_of(_seen(RUN, UID, "run-7"))
    assert snapshot.text_of(quiet, errors=True) == snapshot.text_of(_seen(RUN, UID, "run-7"), errors=True)


def _retained(number: int, run: str, phase: str = "Present", name: str = "") -> dict[str, Any]:
    name = name or retained_checkpoint("flow", run, number)
    meta = {"name": name, "uid": name, "creationTimestamp": f"2026-01-31T12:00:{number:02}Z"}
    spec = {"jobRef": {"name": "flow"}, "source": "Retained", "origin": {"run": run, "checkpointId": number}}
    status = {"phase": phase, "location": f"s3://crash/{run}/chk-{number}"}
    return {"kind": "Checkpoint", "metadata": meta, "spec": spec, "status": status}


def test_how_many_objects_the_minutes_have_made_is_no_difference():
    ended, first, second = _retained(1, "old"), _retained(2, "new"), _retained(3, "new")
    leave, keys = snapshot.without_what_the_clock_makes, {f"new/chk-{number}/_metadata": 24 for number in (2, 3)}
    assert leave([first, second], ["new"], keys) == [first]
    assert leave([ended, first, second], ["new"], keys) == [ended]
    assert leave([ended, first, second], [], keys) == [ended, first, second]


@pytest.mark.parametrize(
    "wrong", [_retained(4, "new"), _retained(3, "new", "Failed"), _retained(3, "new", name="twice")]
)
def test_one_that_the_minutes_cannot_have_made_is_a_difference(wrong: dict[str, Any]):
    first, keys = _retained(2, "new"), {f"new/chk-{number}/_metadata": 24 for number in (2, 3)}
    assert snapshot.without_what_the_clock_makes([first, wrong], ["new"], keys) == [first, wrong]


def test_every_effect_is_killed_in_every_way():
    effects = (Effect("PUT a", 1), Effect("PUT a", 2), Effect("PUT b", 1))
    learned = runner.Learned(SCENARIOS[0], "", "", effects)
    kills = runner.points(learned, errors=0, seed=1)
    assert [(fault.effect, fault.way) for fault in kills] == [(effect, way) for effect in effects for way in KILLS]
    assert len(runner.points(learned, errors=1, seed=1)) == len(effects) * len(KILLS + ERRORS)
    assert runner.points(learned, errors=0.5, seed=1) == runner.points(learned, errors=0.5, seed=1)


@pytest.mark.parametrize("side", ["kubernetes", "flink", "s3"])
@pytest.mark.parametrize("way", [way for way in ERRORS if way.refuses])
def test_an_injected_error_has_the_words_of_its_side(side: str, way: Any):
    body, kind = refusal(side, way.refuses)
    assert body.startswith(b"<?xml") if kind == "application/xml" else json.loads(body)


def test_one_more_of_flinks_own_checkpoints_may_come_while_a_run_is_to_be_quiet():
    made = "checkpoints/flow-chk-*-3"
    late = [Effect(f"POST {made}", 1), Effect(f"PUT {made}/status", 1), Effect(f"PUT {made}/status", 2)]
    others = [Effect("PUT streamjobs/flow/status", 9), Effect("PUT checkpoints/first/status", 1)]
    assert runner.without_what_the_clock_makes([*late, *others]) == others
    another = Effect("POST checkpoints/flow-chk-*-4", 1)  # two a minute are one too many
    assert runner.without_what_the_clock_makes([*late, another]) == [another]
    assert runner.without_what_the_clock_makes(others) == others
