"""What an object's status says when its step could not be done."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.act.status import write_error
from penstock.errors import PenstockError, Refused, RetryLater
from penstock.model import Step
from tests.unit.builders import BEFORE, NOW, checkpoint, deleting, job
from tests.unit.world import FakeWorld, manifest, seen

DENIED = Refused("s3://checkpoints: AccessDenied", "AccessDenied", 403)


async def told(one: Any, error: PenstockError) -> dict[str, Any]:
    world = FakeWorld(manifest(job()), manifest(one))
    current = type(one).model_validate(world.kube.of("Checkpoint")["before"])
    await write_error(world.kube, seen(current, job=job()), Step("before"), error, NOW)
    return dict(world.kube.of("Checkpoint")["before"]["status"])


def stalled(status: dict[str, Any]) -> dict[str, Any] | None:
    return next((each for each in status.get("conditions", []) if each["type"] == "Stalled"), None)


@pytest.mark.parametrize("error", [DENIED, RetryLater("time-out")])
async def test_a_deletion_that_cannot_go_on_says_why_and_what_the_way_out_is(error: PenstockError) -> None:
    status = await told(checkpoint(phase="Present", status=deleting(), deleted=NOW), error)
    condition = stalled(status)
    assert condition is not None
    assert (condition["status"], condition["reason"]) == ("True", error.reason)
    assert condition["message"] == (
        f"{error}; to let go of the object and leave the data, write spec.deletionPolicy: Retain"
    )
    assert status["lastError"]["message"] == str(error)
    assert status["phase"] == "Present"


async def test_the_same_error_again_is_said_again_when_its_condition_had_gone_and_keeps_its_time() -> None:
    known = {"last_error": {"time": BEFORE, "reason": DENIED.reason, "message": str(DENIED)}}
    status = await told(checkpoint(phase="Present", status=deleting("Retention") | known), DENIED)
    assert stalled(status) is not None
    assert status["lastError"]["time"] == "2026-01-31T11:00:00Z"


async def test_retention_has_no_object_to_let_go() -> None:
    condition = stalled(await told(checkpoint(phase="Present", status=deleting("Retention")), DENIED))
    assert condition is not None
    assert condition["message"] == str(DENIED)


async def test_other_errors_are_no_reason_to_call_it_stalled() -> None:
    status = await told(checkpoint(phase="Creating"), RetryLater("time-out"))
    assert stalled(status) is None
    assert status["lastError"]["reason"] == "Unknown"
