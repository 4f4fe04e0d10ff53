"""The service account of a namespace's job pods, with the rights that Flink's Kubernetes HA and the guard need."""

from __future__ import annotations

from typing import Any

from penstock.api import constants
from penstock.names import FLINK_SERVICE_ACCOUNT

Manifest = dict[str, Any]
RULES = [
    {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "verbs": ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"],
    }
]
"""Flink keeps leadership and checkpoint pointers in ConfigMaps, found by label: it needs list and watch of them all."""


def flink_account(namespace: str) -> list[Manifest]:
    """ServiceAccount, Role and RoleBinding, one of each per namespace; they stay when the last job goes."""
    labels = {constants.LABEL_MANAGED_BY: constants.MANAGED_BY}
    metadata = {"name": FLINK_SERVICE_ACCOUNT, "namespace": namespace, "labels": labels}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": dict(metadata)},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": dict(metadata),
            "rules": RULES,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": dict(metadata),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": FLINK_SERVICE_ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": FLINK_SERVICE_ACCOUNT, "namespace": namespace}],
        },
    ]


def holds(found: Any, wanted: Any) -> bool:  # noqa: ANN401 - any part of a JSON document
    """Whether an object has all that is wanted of it; what else it has is of others. Lists must be the same."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(holds(found.get(key), each) for key, each in wanted.items())
    return bool(found == wanted)
