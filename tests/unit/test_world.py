"""The clients that a pass uses: when they are made anew, and what they never tell."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from penstock.api.store import CheckpointStore
from penstock.errors import Refused, RetryLater
from penstock.inventory.mark import ANOTHER_CLUSTER
from penstock.settings import Settings
from penstock.world import World, belongs_to_another, place_of, target_directory
from tests.unit.builders import HOME, JOB, NAMESPACE, PLACE, checkpoint, store_manifest, target, uid
from tests.unit.fakes import FakeKube, Manifest

KEYS = {"accessKeyId": "AKIAEXAMPLE", "secretAccessKey": "not-to-be-seen"}
SIGNED_IN = {"credentials": {"secretRef": {"name": "s3"}}}


def secret(data: dict[str, str | bytes] | None = None) -> Manifest:
    given = KEYS if data is None else data
    encoded = {
        key: base64.b64encode(each if isinstance(each, bytes) else each.encode()).decode()
        for key, each in given.items()
    }
    meta = {"name": "s3", "namespace": "penstock-system"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": encoded}


def world(*manifests: Manifest) -> World:
    kube: Any = FakeKube(*manifests)
    nothing: Any = None
    return World(Settings(), kube, nothing, nothing, nothing)


def store(*, metadata: dict[str, Any] | None = None, **spec: Any) -> CheckpointStore:
    made = store_manifest(**spec)
    return CheckpointStore.model_validate(made | {"metadata": made["metadata"] | (metadata or {})})


# ---------------------------------------------------------------- the client of a store


async def test_a_client_is_kept() -> None:
    held = world(secret())
    assert await held.object_store(store(**SIGNED_IN)) is await held.object_store(store(**SIGNED_IN))


async def test_a_client_is_made_anew_when_its_secret_has_changed() -> None:
    held = world(secret())
    first = await held.object_store(store(**SIGNED_IN))
    await held.kube.apply(secret({"accessKeyId": "other", "secretAccessKey": "other"}))
    second = await held.object_store(store(**SIGNED_IN))
    assert second is not first
    assert await held.object_store(store(**SIGNED_IN)) is second


async def test_a_client_is_made_anew_when_its_store_has_changed() -> None:
    held = world()
    first = await held.object_store(store())
    assert await held.object_store(store(metadata={"generation": 2}, region="eu-west-1")) is not first


async def test_a_client_is_made_anew_for_another_store_of_the_same_name() -> None:
    """Deleted and made again it is generation 1 once more, and its bucket may be another one."""
    held = world()
    await held.object_store(store())
    second = await held.object_store(store(metadata={"uid": uid(1000)}, bucket="elsewhere"))
    assert second.place.bucket == "elsewhere"


async def test_two_stores_have_clients_of_their_own() -> None:
    held = world()
    first = await held.object_store(store())
    assert await held.object_store(store(metadata={"name": "other"})) is not first
    assert await held.object_store(store()) is first


async def test_without_credentials_no_secret_is_read() -> None:
    held = world()
    found = await held.object_store(store())
    assert found.place == PLACE
    assert not [call for call in held.kube.calls if call[1] == "Secret"]  # type: ignore[attr-defined]


async def test_the_secret_is_that_of_the_operators_own_namespace() -> None:
    elsewhere = secret()
    elsewhere["metadata"]["namespace"] = NAMESPACE
    with pytest.raises(Refused, match="no Secret s3 in penstock-system") as refused:
        await world(elsewhere).object_store(store(**SIGNED_IN))
    assert refused.value.reason == "SecretNotFound"


INCOMPLETE: dict[str, dict[str, str | bytes]] = {
    "nothing": {},
    "one key": {"accessKeyId": "AKIAEXAMPLE"},
    "an empty key": KEYS | {"secretAccessKey": ""},
    "only a line end": KEYS | {"secretAccessKey": "\n"},
    "no text": KEYS | {"secretAccessKey": b"\xff\xfe-not-to-be-seen"},
}


@pytest.mark.parametrize("data", INCOMPLETE.values(), ids=INCOMPLETE)
async def test_a_secret_that_is_not_whole(data: dict[str, str | bytes]) -> None:
    with pytest.raises(Refused, match="it needs accessKeyId and secretAccessKey") as refused:
        await world(secret(data)).object_store(store(**SIGNED_IN))
    assert refused.value.reason == "SecretIncomplete"
    assert "seen" not in str(refused.value)


async def test_an_api_server_that_does_not_answer_is_no_missing_secret() -> None:
    held = world(secret())

    def fail(*_: str) -> None:
        raise RetryLater("time-out")

    held.kube.before = fail  # type: ignore[attr-defined]
    with pytest.raises(RetryLater):
        await held.object_store(store(**SIGNED_IN))


@pytest.mark.parametrize("spec", [{"endpoint": "http://my_minio:9000"}, {"region": "eu west"}], ids=str)
async def test_what_the_s3_library_does_not_take_is_refused(spec: dict[str, str]) -> None:
    """The API server takes both: it knows URLs, and no rule for a region."""
    with pytest.raises(Refused, match=r"spec\.endpoint or spec\.region") as refused:
        await world().object_store(store(**spec))
    assert refused.value.reason == "EndpointInvalid"


async def test_credentials_have_no_readable_form() -> None:
    held = world(secret())
    client = await held.object_store(store(**SIGNED_IN))
    for told in (repr(held), str(held), repr(client), repr(vars(client))):
        assert "AKIAEXAMPLE" not in told
        assert "not-to-be-seen" not in told


# ---------------------------------------------------------------- places


def test_a_store_without_a_prefix_is_the_whole_bucket() -> None:
    assert place_of(store(prefix="")).uri(place_of(store(prefix="")).mark()) == "s3://checkpoints/penstock.json"


def test_the_directory_of_a_checkpoint() -> None:
    taken = checkpoint(phase="Present")
    assert target_directory(PLACE, taken) == f"{HOME}savepoints/{uid(1)}/"


FOREIGN = {
    "nothing": None,
    "another bucket": target(1).replace("s3://checkpoints/", "s3://elsewhere/"),
    "another scheme": target(1).replace("s3://", "file:///"),
    "another prefix": target(1).replace("/team/", "/others/"),
    "another namespace": target(1).replace(f"/{NAMESPACE}/", "/trains/", 1),
    "another job": target(1).replace(f"/{JOB}-", "/trains-"),
    "the job's whole directory": PLACE.uri(HOME),
    "all savepoints of the job": PLACE.uri(f"{HOME}savepoints/"),
    "a retained checkpoint": PLACE.uri(f"{HOME}checkpoints/{'a' * 32}/"),
    "below the directory": target(1) + "savepoint-aaaaaa-000000000001/",
    "the way up": target(1) + "../",
    "up and down again": PLACE.uri(f"{HOME}savepoints/../savepoints/{uid(1)}/"),
}


@pytest.mark.parametrize("place", FOREIGN.values(), ids=FOREIGN)
def test_a_place_that_penstock_did_not_make_is_refused(place: str | None) -> None:
    strange = checkpoint(phase="Present", status={"target_directory": place})
    with pytest.raises(Refused, match="is not touched") as refused:
        target_directory(PLACE, strange)
    assert refused.value.reason == "PlaceNotOurs"


@pytest.mark.parametrize(
    ("conditions", "foreign"),
    [
        ([], False),
        ([{"type": "Ready", "status": "True", "reason": "Answers"}], False),
        ([{"type": "Stalled", "status": "True", "reason": ANOTHER_CLUSTER}], False),
        ([{"type": "Ready", "status": "False", "reason": ANOTHER_CLUSTER}], True),
    ],
    ids=str,
)
def test_whose_store_it_is(conditions: list[dict[str, str]], foreign: bool) -> None:  # noqa: FBT001 - a table
    made = store_manifest() | {"status": {"conditions": conditions}}
    assert belongs_to_another(CheckpointStore.model_validate(made)) is foreign
