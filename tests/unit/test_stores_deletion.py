"""When a CheckpointStore that is deleted may go."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.api import constants
from penstock.api.store import CheckpointStore
from penstock.errors import RetryLater
from penstock.settings import Settings
from penstock.world import belongs_to_another
from tests.unit.builders import NAMESPACE, checkpoint, job
from tests.unit.fakes import Manifest
from tests.unit.stage import FOREIGN, fresh
from tests.unit.world import manifest


def deleted(**change: Any) -> Manifest:
    made = fresh(**change)
    return made | {"metadata": made["metadata"] | {"deletionTimestamp": "2026-01-31T11:59:00Z"}}


def of_store(name: str, phase: str | None, **status: Any) -> Manifest:
    return manifest(checkpoint(phase=phase, status={"store": name, **status}))


USERS: dict[str, tuple[Manifest, str]] = {
    "a job": (manifest(job()), f"StreamJob {NAMESPACE}/flights"),
    "a stopped job": (manifest(job(state="Stopped")), f"StreamJob {NAMESPACE}/flights"),
    "one that is taken": (of_store("main", "Creating"), f"Checkpoint {NAMESPACE}/before"),
    "one that is there": (of_store("main", "Present"), f"Checkpoint {NAMESPACE}/before"),
    "one that may still come": (of_store("main", "Timeout", settled=False), f"Checkpoint {NAMESPACE}/before"),
}


@pytest.mark.parametrize(("user", "named"), USERS.values(), ids=USERS)
async def test_a_store_in_use_stays(stage, user, named):
    held = stage(deleted(), user)
    assert await held.look() == 5
    assert held.told == ("False", "InUse", "False", "True")
    assert f"first {named}" in held.condition("Ready")["message"]
    assert held.stored["metadata"]["finalizers"] == ["penstock.dev/in-use"]


NO_USERS: dict[str, Manifest] = {
    "a job of another store": manifest(job(checkpoints={"store": "other"})),
    "a checkpoint of another store": of_store("other", "Present"),
    "one whose data are gone": of_store("main", "Cleared"),
    "one that failed": of_store("main", "Failed"),
    "one that is over its time for good": of_store("main", "Timeout", settled=True),
    "one that was never looked at": manifest(checkpoint()),
}


@pytest.mark.parametrize("stranger", NO_USERS.values(), ids=NO_USERS)
async def test_a_store_that_nobody_uses_goes(stage, stranger):
    held = stage(deleted(finalizers=("somebody.else/has-one", constants.FINALIZER_IN_USE)), stranger)
    assert await held.look() is None
    assert held.stored["metadata"]["finalizers"] == ["somebody.else/has-one"]
    assert held.s3.calls == []


async def test_it_goes_when_its_last_user_has_gone(stage):
    held = stage(deleted(), manifest(job()))
    await held.look(2)
    assert held.writes == 1
    del held.kube.objects["StreamJob", NAMESPACE, "flights"]
    await held.look()
    assert held.stored["metadata"]["finalizers"] == []


async def test_one_that_was_let_go_is_left_alone(stage):
    held = stage(deleted(finalizers=("somebody.else/has-one",)), manifest(job()))
    assert await held.look() is None
    assert (held.writes, held.stored["metadata"]["finalizers"]) == (0, ["somebody.else/has-one"])


async def test_a_deleted_store_of_another_cluster_is_still_not_ours(stage):
    held = stage(fresh(), manifest(job()), keys=FOREIGN)
    await held.look()
    held.kube.objects["CheckpointStore", "", "main"]["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z"
    await held.look()
    assert belongs_to_another(CheckpointStore.model_validate(held.stored))
    assert held.condition("Stalled")["reason"] == "InUse"


async def test_where_namespaces_are_listed_users_are_looked_for_in_them_only(stage):
    """There are no rights to look elsewhere."""
    held = stage(deleted(), manifest(job()))
    held.world.settings = Settings(watch_namespaces=("trains", NAMESPACE))
    await held.look()
    assert held.told[1] == "InUse"
    held.world.settings = Settings(watch_namespaces=("trains",))
    await held.look()
    assert held.stored["metadata"]["finalizers"] == []


async def test_while_kubernetes_does_not_answer_nothing_goes(stage):
    held = stage(deleted())

    def fail(verb: str, _kind: str, _name: str) -> None:
        if verb == "find":
            raise RetryLater("time-out")

    held.kube.before = fail
    with pytest.raises(RetryLater):
        await held.look()
    assert held.stored["metadata"]["finalizers"] == ["penstock.dev/in-use"]
