"""The admission policies, asked as the people and controllers that they are about."""

import time
from pathlib import Path

import pytest
from kubernetes import client, config

from tests.integration.api.cases import RUN, manifest

pytestmark = pytest.mark.cluster

POLICIES = Path(__file__).parents[3] / "manifests" / "admission"
OPERATOR = "system:serviceaccount:penstock-system:penstock"
IMPORTED = {"source": "Imported", "location": "s3://bucket/savepoints/savepoint-4f2a1c"}
STOPPED = {"source": "Stop", "origin": {"run": RUN}}
PINNED = "Checkpoint flights is pinned; set spec.pinned: false first"


def rbac(kubectl, namespace, user, verbs):
    role = user.replace(":", "-")
    kubectl("-n", namespace, "create", "role", role, f"--verb={verbs}", "--resource=checkpoints.penstock.dev")
    kubectl("-n", namespace, "create", "rolebinding", role, f"--role={role}", f"--user={user}")
    verb = verbs.partition(",")[0]
    question = ("-n", namespace, "auth", "can-i", verb, "checkpoints.penstock.dev", f"--as={user}")
    wait_until(lambda: kubectl(*question, check=False).returncode == 0, f"{user} may {verb}")


def wait_until(happened, what, seconds=40):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.2)


@pytest.fixture(autouse=True)
def policies(kubectl, api, as_user):
    """The policies in force: the API server needs a moment after they were applied."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(POLICIES))
    rbac(kubectl, api.namespace, "tenant", "create,get,delete,deletecollection,update,patch")
    tenant = as_user("tenant")
    answers = []

    def refused():
        answers.append(tenant.create(manifest("Checkpoint", IMPORTED, "probe"), dry_run=True))
        return "needs the verb import" in answers[-1].message

    wait_until(refused, "the policies are in force")
    return tenant


@pytest.fixture
def tenant(policies):
    return policies


def create(api, change, name="flights"):
    answer = api.create(manifest("Checkpoint", change, name))
    assert answer.accepted, answer.message


def gone(api, name="flights"):
    return api.get("Checkpoint", name).status == 404


def test_a_pinned_checkpoint_cannot_be_deleted_until_it_is_unpinned(api, tenant):
    create(tenant, {"pinned": True})
    for who in (tenant, api):  # api is cluster-admin
        answer = who.delete("Checkpoint", "flights")
        assert answer.status == 403
        assert PINNED in answer.message
    assert tenant.patch("Checkpoint", "flights", {"spec": {"pinned": False}}).accepted
    assert tenant.delete("Checkpoint", "flights").accepted
    assert gone(api)


def test_the_operator_cannot_delete_a_pinned_checkpoint_either(kubectl, api, as_user):
    rbac(kubectl, api.namespace, OPERATOR, "delete")
    create(api, {"pinned": True})
    assert PINNED in as_user(OPERATOR).delete("Checkpoint", "flights").message


def test_a_checkpoint_that_is_not_pinned_can_be_deleted(api, tenant):
    create(tenant, {})
    assert tenant.delete("Checkpoint", "flights").accepted
    assert gone(api)


def test_deleting_all_checkpoints_leaves_the_pinned_one(api, tenant):
    create(tenant, {"pinned": True})
    assert PINNED in tenant.delete_all("Checkpoint").message
    assert not gone(api)


def test_a_namespace_with_a_pinned_checkpoint_can_be_deleted(kubectl, api):
    create(api, {"pinned": True})
    kubectl("delete", "namespace", api.namespace, "--wait=false")
    wait_until(lambda: gone(api), "the namespace controller deletes the pinned Checkpoint")


def test_in_a_terminating_namespace_anybody_may_delete_a_pinned_checkpoint(kubectl, api, tenant):
    held = manifest("Checkpoint", {"pinned": True})
    held["metadata"]["finalizers"] = ["example.com/held"]
    assert api.create(held).accepted
    kubectl("delete", "namespace", api.namespace, "--wait=false")
    # RBAC goes with the namespace, so that only the cluster's administrator can still ask.
    answer = api.delete("Checkpoint", "flights")
    assert answer.accepted, answer.message
    assert api.patch("Checkpoint", "flights", {"metadata": {"finalizers": None}}).accepted
    wait_until(lambda: gone(api), "the Checkpoint goes")
    assert tenant.namespace == api.namespace


def test_the_garbage_collector_may_delete_a_pinned_checkpoint_with_its_owner(kubectl, kubeconfig, api):
    with config.new_client_from_config(config_file=kubeconfig) as connection:
        core = client.CoreV1Api(connection)
        owner = core.create_namespaced_config_map(api.namespace, {"metadata": {"name": "owner"}})
    owned = manifest("Checkpoint", {"pinned": True})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid}
    owned["metadata"]["ownerReferences"] = [reference]
    assert api.create(owned).accepted
    kubectl("-n", api.namespace, "delete", "configmap", "owner")
    wait_until(lambda: gone(api), "the garbage collector deletes the pinned Checkpoint")


@pytest.mark.parametrize("source", ["Stop", "Upgrade", "Schedule", "Retained", "Imported"])
def test_a_tenant_may_make_manual_checkpoints_only(tenant, source):
    assert tenant.create(manifest("Checkpoint", {}), dry_run=True).accepted
    change = IMPORTED if source == "Imported" else STOPPED | {"source": source}
    answer = tenant.create(manifest("Checkpoint", change), dry_run=True)
    assert answer.status == 403
    assert (
        f"spec.source {source} needs the verb import on checkpoints in namespace {tenant.namespace}; "
        "leave spec.source and spec.origin out, or ask an administrator for the ClusterRole "
        "penstock-checkpoint-importer"
    ) in answer.message


def test_the_operator_may_make_every_source(kubectl, api, as_user):
    rbac(kubectl, api.namespace, OPERATOR, "create")
    assert as_user(OPERATOR).create(manifest("Checkpoint", STOPPED), dry_run=True).accepted


def test_another_operators_name_is_not_enough(kubectl, api, as_user):
    impostor = f"system:serviceaccount:{api.namespace}:penstock"
    rbac(kubectl, api.namespace, impostor, "create")
    assert as_user(impostor).create(manifest("Checkpoint", IMPORTED), dry_run=True).status == 403


def test_who_has_the_importers_role_may_import_and_apply_exported_checkpoints_again(kubectl, api, as_user):
    kubectl(
        *("-n", api.namespace, "create", "rolebinding", "importer"),
        *("--clusterrole=penstock-checkpoint-importer", "--user=importer"),
    )
    importer = as_user("importer")
    for change in (IMPORTED, STOPPED, STOPPED | {"source": "Retained"}):
        wait_until(
            lambda change=change: importer.create(manifest("Checkpoint", change), dry_run=True).accepted,
            "the role binding is in force",
        )


def test_the_cluster_administrator_may_import(api):
    assert api.create(manifest("Checkpoint", IMPORTED), dry_run=True).accepted
