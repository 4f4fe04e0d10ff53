"""What the store says of each key of a batch, in an answer whose status is 200."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from penstock.errors import Refused, RetryLater
from penstock.store.client import Access, ObjectStore
from tests.unit.builders import PLACE

KEYS = ("team/a", "team/b")


def store(**answer: Any) -> ObjectStore:
    made = ObjectStore(Access(PLACE, "http://127.0.0.1:9", "us-east-1", True, "key", "secret"))  # noqa: FBT003

    class Answers:
        def delete_objects(self, **_: Any) -> dict[str, Any]:
            return answer

    made._s3 = Answers()
    return made


def deleted(*keys: str) -> list[dict[str, str]]:
    return [{"Key": key} for key in keys]


def error(key: str, code: str) -> dict[str, str]:
    return {"Key": key, "Code": code, "Message": "why"}


async def test_all_deleted():
    await store(Deleted=deleted(*KEYS)).delete(KEYS)


async def test_what_was_not_there_is_deleted():
    await store(Deleted=deleted("team/a"), Errors=[error("team/b", "NoSuchKey")]).delete(KEYS)


async def test_one_key_that_is_refused_is_said_with_the_stores_word():
    with pytest.raises(Refused, match="1 of 2 keys were not deleted, first team/b: AccessDenied why") as refused:
        await store(Deleted=deleted("team/a"), Errors=[error("team/b", "AccessDenied")]).delete(KEYS)
    assert refused.value.reason == "AccessDenied"


@pytest.mark.parametrize("code", ["InternalError", "SlowDown", "ServiceUnavailable"])
async def test_trouble_of_its_own_is_tried_later(code):
    with pytest.raises(RetryLater, match=code):
        await store(Deleted=deleted("team/a"), Errors=[error("team/b", code)]).delete(KEYS)


async def test_what_stays_refused_goes_before_what_passes():
    errors = [error("team/a", "SlowDown"), error("team/b", "AccessDenied")]
    with pytest.raises(Refused, match="2 of 2 keys"):
        await store(Errors=errors).delete(KEYS)


@pytest.mark.parametrize("answer", [{}, {"Deleted": deleted("team/a")}])
async def test_a_key_of_which_nothing_is_said_is_not_deleted(answer):
    with pytest.raises(RetryLater, match=r"did not say what became of . keys, first team/"):
        await store(**answer).delete(KEYS)


def putting(*codes: str) -> tuple[ObjectStore, list[bool]]:
    """A store that refuses its first writes with these codes; whether each write had a condition."""
    made, asked, left = store(), [], list(codes)

    class Answers:
        def put_object(self, **call: Any) -> dict[str, Any]:
            asked.append(call.get("IfNoneMatch") == "*")
            if left:
                code = {"Error": {"Code": left.pop(0)}, "ResponseMetadata": {"HTTPStatusCode": 501}}
                raise ClientError(code, "PutObject")  # type: ignore[arg-type]
            return {}

    made._s3 = Answers()
    return made, asked


@pytest.mark.parametrize(
    ("codes", "asked"),
    [((), [True]), (("PreconditionFailed",), [True]), (("NotImplemented",), [True, False])],
    ids=["nobody's", "somebody's", "a store that knows no conditions"],
)
async def test_what_is_made_only_where_nothing_is(codes, asked):
    made, seen = putting(*codes)
    await made.create_json("team/mark.json", {})
    assert seen == asked


async def test_making_it_may_be_refused_for_another_reason():
    with pytest.raises(RetryLater, match="InternalError"):
        await putting("InternalError")[0].create_json("team/mark.json", {})


async def test_a_call_in_a_thread_outlasts_its_pass_and_is_waited_for(monkeypatch):
    """LeaseLost came, the lease was given up, and a deletion went on in its thread."""
    monkeypatch.setattr(ObjectStore, "_pool", ThreadPoolExecutor(1))
    made, go = store(), threading.Event()

    class Answers:
        def delete_objects(self, **_: Any) -> dict[str, Any]:
            go.wait()
            return {"Deleted": deleted(*KEYS)}

    made._s3 = Answers()
    call = asyncio.create_task(made.delete(KEYS))
    await asyncio.sleep(0.05)
    call.cancel()
    assert await ObjectStore.idle(0.05) is False
    go.set()
    assert await ObjectStore.idle(5) is True
    with pytest.raises(RetryLater, match="this process ends"):
        await made.delete(KEYS)
