"""What the store says of each key of a batch, in an answer whose status is 200."""

from __future__ import annotations

from typing import Any

import pytest

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
