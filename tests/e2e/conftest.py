"""A lab of its own for the end-to-end tests: Kafka, S3 and a store in a namespace that is deleted afterwards."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from lab import Kubectl, Lab  # noqa: E402

from demo import data  # noqa: E402
from tests.quick import KAFKA  # noqa: E402

# Each worker of pytest-xdist has a lab of its own, in the same cluster.
NAMESPACE = "-".join(filter(None, ("penstock-e2e", os.environ.get("PYTEST_XDIST_WORKER"))))


LONG = ("test_crashes.py", "test_flights.py", "test_states.py", "test_replay.py", "test_behaviours.py")
"""What takes longest goes first, the longest of all at the head: the last file is then a short one, and no worker waits
long for the other."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, the others as they come; the operator works, but for tests that bring their own."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("rest") is None:
            item.fixturenames.insert(0, "operator_at_work")


@pytest.fixture(scope="session")
def lab(kubectl: Kubectl, kubeconfig: str) -> Iterator[Lab]:
    """The lab; what an earlier run that was killed left is taken away first."""
    data.fetch()
    lab = Lab(kubectl, NAMESPACE, kubeconfig)
    _remove(kubectl)
    for name in ("namespace", "s3", "kafka", "tools"):
        lab.apply(f"manifests/demo/{name}.yaml", _quick_kafka)
    for workload in ("deployment/versitygw", "statefulset/kafka", "deployment/tools"):
        kubectl("-n", NAMESPACE, "rollout", "status", workload, "--timeout=120s", seconds=130)
    yield lab
    logs = kubectl("-n", "penstock-system", "logs", "deployment/penstock", "--tail=-1", check=False).stdout
    Path(os.environ.get("PENSTOCK_LOGS", str(ROOT / ".venv"))).joinpath("operator.log").write_text(logs)
    _remove(kubectl)


def _quick_kafka(text: str) -> str:
    before = "            - name: KAFKA_HEAP\n"
    return text.replace(before, f"            - {json.dumps(KAFKA)}\n{before}")


def _remove(kubectl: Kubectl) -> None:
    """Jobs first, while the operator and the store can still do their part."""
    if not kubectl("get", "namespace", NAMESPACE, "--ignore-not-found").stdout:
        return
    for kind in ("streamjobs", "checkpoints"):
        pinned = '{"spec":{"pinned":false,"deletionPolicy":"Retain"}}'
        for name in kubectl("-n", NAMESPACE, "get", kind, "-o", "name").stdout.split():
            if kind == "checkpoints":
                kubectl("-n", NAMESPACE, "patch", name, "--type=merge", "-p", pinned)
        kubectl("-n", NAMESPACE, "delete", kind, "--all", "--timeout=100s", seconds=110)
    kubectl("delete", "checkpointstore", NAMESPACE, "--ignore-not-found", "--timeout=40s")
    kubectl("delete", "namespace", NAMESPACE, "--timeout=100s", seconds=110)
