"""The reconcile of a CheckpointStore: whose it is, whether it answers, what is written, what is warned of."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from penstock.api.store import CheckpointStore
from penstock.errors import PenstockError, Refused, RetryLater, Stale
from penstock.stores import endpoint_warnings
from penstock.world import belongs_to_another
from tests.unit.builders import store_manifest
from tests.unit.stage import CLUSTER, FOREIGN, MARK, OTHER_CLUSTER, OURS, fresh

SIGNED_IN = {"credentials": {"secretRef": {"name": "s3"}}}


# ---------------------------------------------------------------- whose it is


async def test_a_store_that_is_gone_wants_no_other_look(stage):
    held = stage()
    held.kube.objects.clear()
    assert await held.look() is None


async def test_the_finalizer_comes_first(stage):
    held = stage(fresh(finalizers=("somebody.else/has-one",)), keys={})
    assert await held.look() == 0
    assert held.stored["metadata"]["finalizers"] == ["somebody.else/has-one", "penstock.dev/in-use"]
    assert (held.s3.calls, held.writes) == ([], 0)


async def test_a_place_without_a_mark_is_marked(stage):
    held = stage(keys={})
    pause = await held.look()
    assert held.s3.keys == OURS
    assert held.told == ("True", "Answers", "False", "False")
    assert held.status["clusterId"] == CLUSTER
    assert pause == 60


async def test_a_place_of_this_cluster_is_only_read(stage):
    held = stage()
    await held.look()
    assert held.told == ("True", "Answers", "False", "False")
    assert held.written_keys == []


async def test_a_place_of_another_cluster_is_not_touched(stage):
    held = stage(keys=FOREIGN)
    pause = await held.look(3)
    assert held.told == ("False", "AnotherCluster", "False", "True")
    message = held.condition("Ready")["message"]
    assert OTHER_CLUSTER in message
    assert "choose another prefix" in message
    assert (held.written_keys, held.s3.keys, pause) == ([], FOREIGN, 5)


@pytest.mark.parametrize("mark", [b"", b"not JSON", b"[1, 2]"], ids=repr)
async def test_what_is_no_mark_is_not_touched(stage, mark):
    held = stage(keys={MARK: mark})
    await held.look()
    assert held.told == ("False", "MarkUnreadable", "False", "True")
    assert (held.written_keys, held.s3.keys) == ([], {MARK: mark})


async def test_of_two_clusters_that_write_their_mark_at_once_one_gives_way(stage):
    held = stage(keys={})

    def other_is_later(verb: str, _key: str) -> None:
        if verb == "read" and any(done == "write" for done, _ in held.s3.calls):
            held.s3.keys = dict(FOREIGN)

    held.s3.before = other_is_later
    await held.look()
    assert held.told[:2] == ("False", "AnotherCluster")


async def test_without_the_name_of_this_cluster_nothing_is_marked(stage):
    held = stage(keys={})
    del held.kube.objects["Namespace", "", "kube-system"]
    await held.look()
    assert held.told[:2] == ("Unknown", "NotAnswering")
    assert held.s3.keys == {}


TROUBLE: dict[str, tuple[PenstockError, str]] = {
    "silent": (RetryLater("time-out"), "Reconciling"),
    "refused": (Refused("it is forbidden", "AccessDenied", 403), "Stalled"),
}


@pytest.mark.parametrize(("error", "also"), TROUBLE.values(), ids=TROUBLE)
async def test_a_store_of_another_cluster_stays_so_until_its_mark_is_read_again(stage, error, also):
    """What deletes data asks for this reason: trouble must not make the place look like one of ours."""
    held = stage(keys=FOREIGN)
    await held.look()
    held.fail(error)
    await held.look_for(300)
    assert belongs_to_another(CheckpointStore.model_validate(held.stored))
    assert held.told[:2] == ("False", "AnotherCluster")
    assert (held.condition(also)["status"], held.condition(also)["message"]) == ("True", str(error))
    held.fail(None)
    held.s3.keys = dict(OURS)
    await held.look()
    assert held.told == ("True", "Answers", "False", "False")


# ---------------------------------------------------------------- whether it answers


@pytest.mark.parametrize(
    ("data", "reason"), [(None, "SecretNotFound"), ({"accessKeyId": "eA=="}, "SecretIncomplete")], ids=str
)
async def test_without_its_credentials_it_is_not_usable(stage, data, reason):
    meta = {"name": "s3", "namespace": "penstock-system"}
    others = [] if data is None else [{"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}]
    held = stage(fresh(**SIGNED_IN), *others)
    pause = await held.look()
    assert held.told == ("False", reason, "False", "True")
    assert pause == 5


async def test_a_store_that_refuses_is_not_ready_at_once(stage):
    held = stage()
    await held.look()
    held.fail(Refused("list team/ in bucket checkpoints: NoSuchBucket", "NoSuchBucket", 404))
    assert await held.look() == 5
    assert held.told == ("False", "NoSuchBucket", "False", "True")
    assert held.condition("Ready")["message"] == "list team/ in bucket checkpoints: NoSuchBucket"


async def test_one_that_never_answered_is_unknown(stage):
    held = stage()
    held.fail(RetryLater("no route to host"))
    assert await held.look() == 5
    assert held.told == ("Unknown", "NotAnswering", "True", "False")
    assert held.condition("Ready")["message"] == held.condition("Reconciling")["message"] == "no route to host"


async def test_one_that_was_ready_stays_so_for_a_minute_without_an_answer(stage):
    held = stage()
    await held.look()
    ready = held.condition("Ready")
    held.fail(RetryLater("time-out"))
    await held.look_for(59)
    assert held.condition("Ready") == ready
    assert held.told == ("True", "Answers", "True", "False")
    assert held.condition("Reconciling")["message"] == "time-out"
    await held.look_for(10)
    assert held.told == ("Unknown", "NotAnswering", "True", "False")
    assert held.condition("Ready")["message"] == "time-out"


async def test_the_minute_begins_anew_with_every_answer(stage):
    held = stage()
    for _ in range(5):
        held.fail(None)
        await held.look()
        assert held.told == ("True", "Answers", "False", "False")
        held.fail(RetryLater("time-out"))
        await held.look_for(45)
        assert held.told[0] == "True"


async def test_the_minute_does_not_begin_anew_with_a_new_operator(stage):
    """It is counted from what the status says, not from what a process remembers."""
    held = stage()
    await held.look()
    held.fail(RetryLater("time-out"))
    await held.look()
    held.now += timedelta(minutes=2)
    held.world = replace(held.world, _stores={})
    await held.look()
    assert held.told[0] == "Unknown"


async def test_a_changed_spec_has_no_grace(stage):
    held = stage()
    await held.look()
    held.kube.objects["CheckpointStore", "", "main"]["metadata"]["generation"] = 2
    held.fail(RetryLater("no route to the new endpoint"))
    await held.look()
    assert held.told[:2] == ("Unknown", "NotAnswering")
    assert (held.status["observedGeneration"], held.condition("Ready")["observedGeneration"]) == (2, 2)


async def test_one_that_refused_and_then_is_silent_is_unknown(stage):
    held = stage()
    held.fail(Refused("no", "AccessDenied", 403))
    await held.look()
    held.fail(RetryLater("time-out"))
    await held.look()
    assert held.told == ("Unknown", "NotAnswering", "True", "False")


async def test_an_answer_ends_all_trouble(stage):
    held = stage()
    for error in (RetryLater("time-out"), Refused("no", "AccessDenied", 403)):
        held.fail(error)
        await held.look_for(100)
        held.fail(None)
        assert await held.look() == 60
        assert held.told == ("True", "Answers", "False", "False")


async def test_warnings_are_told(stage):
    held = stage(fresh(endpoint="http://s3.minio.svc:9000"))
    held.s3.warned = ("versioning is on",)
    await held.look()
    first, second = held.status["warnings"]
    assert "AuthorizationHeaderMalformed" in first
    assert second == "versioning is on"
    held.s3.warned = ()
    await held.look()
    assert len(held.status["warnings"]) == 1


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize(
    "error", [None, RetryLater("time-out"), Refused("no", "AccessDenied", 403)], ids=["answers", "silent", "refuses"]
)
async def test_nothing_is_written_when_nothing_has_changed(stage, error):
    held = stage()
    held.fail(error)
    await held.look()
    assert held.writes == 1
    await held.look_for(500)
    assert held.writes == 1


async def test_when_it_was_last_checked_is_at_most_ten_minutes_behind(stage):
    held = stage()
    for _ in range(10):
        await held.look_for(300)
        checked = datetime.fromisoformat(held.status["lastChecked"])
        assert held.now - checked <= timedelta(minutes=11)
    assert 4 <= held.writes <= 6


async def test_what_somebody_else_has_changed_is_not_written_over(stage):
    held = stage()

    def change(verb: str, kind: str, _name: str) -> None:
        if (verb, kind) == ("status", "CheckpointStore"):
            held.kube.objects["CheckpointStore", "", "main"]["metadata"]["resourceVersion"] = "999"

    held.kube.before = change
    with pytest.raises(Stale):
        await held.look()
    assert held.status == {}


# ---------------------------------------------------------------- the endpoint's host name


MISREAD = {
    "http://s3.minio.svc:9000": "minio",
    "http://s3.minio.svc": "minio",
    "https://store.s3.example.com": "example",
    "http://s3-east.example.com": "east",
}
READ_WELL = [
    None,
    "http://minio.minio.svc:9000",
    "https://s3",
    "http://s3:9000",
    "https://mys3.example.com",
    "https://s3.us-east-1.amazonaws.com",
    "https://bucket.s3.us-east-1.amazonaws.com",
    "http://10.0.0.1:9000",
    "http://[::1]:9000",
]


def store_at(endpoint: str | None, **spec: Any) -> CheckpointStore:
    return CheckpointStore.model_validate(store_manifest(endpoint=endpoint, **spec))


@pytest.mark.parametrize(("endpoint", "region"), MISREAD.items())
def test_an_endpoint_that_flink_misreads(endpoint, region):
    [warning] = endpoint_warnings(store_at(endpoint))
    assert repr(region) in warning
    assert "AuthorizationHeaderMalformed" in warning


@pytest.mark.parametrize("endpoint", READ_WELL)
def test_an_endpoint_that_flink_reads_well(endpoint):
    assert endpoint_warnings(store_at(endpoint)) == ()


def test_an_endpoint_whose_name_says_the_region_that_is_meant():
    assert endpoint_warnings(store_at("https://s3.eu-west-1.example.com", region="eu-west-1")) == ()
    assert len(endpoint_warnings(store_at("https://s3.eu-west-1.example.com"))) == 1
