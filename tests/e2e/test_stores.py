"""A CheckpointStore says whether it can be used, and guards what lies in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from test_behaviours import ENDLESS, stream_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.timeout(180)]


def store(lab: Lab, name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "CheckpointStore",
        "metadata": {"name": name},
        "spec": {
            "endpoint": f"http://versitygw.{lab.namespace}.svc:7070",
            "bucket": "penstock",
            "prefix": name,
            "credentials": {"secretRef": {"name": lab.namespace}},
            "jobCredentials": {"secretName": "checkpoint-store"},
            "allowedNamespaces": {"names": [lab.namespace]},
            **spec,
        },
    }


@pytest.fixture
def made(lab: Lab) -> Iterator[list[str]]:
    """Names of stores that the test makes; they are deleted afterwards."""
    lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))
    names: list[str] = []
    yield names
    for name in names:
        lab.kubectl("delete", "checkpointstore", name, "--ignore-not-found", "--timeout=40s")


def ready(lab: Lab, name: str, reason: str) -> dict[str, Any] | None:
    found = lab.condition("checkpointstore", name, "Ready")
    return found if found.get("reason") == reason else None


def create(lab: Lab, made: list[str], name: str, **spec: Any) -> None:
    manifest = store(lab, name, **spec)
    made.append(name)
    lab.create_cluster_wide(manifest)


def test_a_store_that_answers_is_ready_and_marked_as_this_clusters(lab: Lab, made: list[str]) -> None:
    create(lab, made, "fresh")
    lab.until("it is Ready", lambda: ready(lab, "fresh", "Answers"))
    mark = json.loads(lab.s3().get_object(Bucket="penstock", Key="fresh/penstock.json")["Body"].read())
    uid = lab.get("namespace", "kube-system")["metadata"]["uid"]
    assert mark["cluster"] == uid
    assert lab.get("checkpointstore", "fresh")["status"]["clusterId"] == uid


def test_a_place_that_another_cluster_has_marked_is_not_used(lab: Lab, made: list[str]) -> None:
    foreign = json.dumps({"cluster": "11111111-1111-1111-1111-111111111111"}).encode()
    lab.s3().put_object(Bucket="penstock", Key="foreign/penstock.json", Body=foreign)
    create(lab, made, "foreign")
    found = lab.until("it is refused", lambda: ready(lab, "foreign", "AnotherCluster"))
    assert found["status"] == "False"
    assert "choose another prefix" in found["message"]
    assert lab.s3().get_object(Bucket="penstock", Key="foreign/penstock.json")["Body"].read() == foreign


@pytest.mark.parametrize(
    ("name", "spec", "status", "reason", "says"),
    [
        (
            "no-secret",
            {"credentials": {"secretRef": {"name": "nobody"}}},
            "False",
            "SecretNotFound",
            "spec.credentials",
        ),
        ("no-bucket", {"bucket": "nowhere"}, "False", "NoSuchBucket", "nowhere"),
        ("no-server", {"endpoint": "http://nobody.penstock-e2e.svc:7070"}, "Unknown", "NotAnswering", "nobody"),
    ],
)
def test_a_store_that_cannot_be_used_says_why(  # noqa: PLR0917
    lab: Lab, made: list[str], name: str, spec: dict[str, Any], status: str, reason: str, says: str
) -> None:
    create(lab, made, name, **spec)
    found = lab.until(f"{name} is not Ready: {reason}", lambda: ready(lab, name, reason))
    assert found["status"] == status
    assert says in found["message"]
    assert "secret-" not in found["message"]


def test_an_endpoint_that_flink_misreads_is_warned_of(lab: Lab, made: list[str]) -> None:
    create(lab, made, "misread", endpoint=f"http://s3.{lab.namespace}.svc:7070")
    lab.kubectl("expose", "deployment/versitygw", "--name=s3", "--port=7070")
    try:
        lab.until("it is Ready", lambda: ready(lab, "misread", "Answers"))
        [warning] = lab.get("checkpointstore", "misread")["status"]["warnings"]
        assert "AuthorizationHeaderMalformed" in warning
    finally:
        lab.kubectl("delete", "service", "s3")


def test_a_job_of_another_namespace_is_refused(lab: Lab, made: list[str], kube_namespace: str) -> None:
    del made
    manifest = stream_job(lab, "stranger", ENDLESS)
    manifest["metadata"]["namespace"] = kube_namespace
    lab.create(manifest)

    def stalled() -> dict[str, Any] | None:
        text = lab.kubectl("get", "streamjob", "stranger", "-n", kube_namespace, "-o", "json")
        conditions = json.loads(text).get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == "Stalled" and each["status"] == "True"), None)

    found = lab.until("the stranger is Stalled", stalled)
    assert found["reason"] == "StoreNotUsable"
    assert f"not for namespace {kube_namespace}" in found["message"]
    lab.kubectl("delete", "streamjob", "stranger", "-n", kube_namespace, "--timeout=40s")


def test_a_store_in_use_cannot_be_deleted(lab: Lab, made: list[str]) -> None:
    create(lab, made, "used")
    lab.until("it is Ready", lambda: ready(lab, "used", "Answers"))
    lab.create(stream_job(lab, "idle", ENDLESS, state="Stopped", checkpoints={"store": "used"}))
    lab.kubectl("delete", "checkpointstore", "used", "--wait=false")
    found = lab.until("it says who uses it", lambda: ready(lab, "used", "InUse"))
    assert "idle" in found["message"]
    lab.kubectl("delete", "streamjob", "idle", "--timeout=40s")
    lab.until("then it goes", lambda: not lab.get("checkpointstore", "used"))
