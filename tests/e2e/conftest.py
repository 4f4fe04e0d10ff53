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
from tests.leftovers import LABS, remove  # noqa: E402
from tests.quick import KAFKA  # noqa: E402

# Each worker of pytest-xdist has a lab of its own, in the same cluster.
NAMESPACE = "-".join(filter(None, (LABS, os.environ.get("PYTEST_XDIST_WORKER"))))


_BY_LENGTH = (
    "crashes",
    "flights",
    "states",
    "replay",
    "promises",
    "behaviours",
    "positions",
    "undo",
    "rollback",
    "changes",
    "forks",
    "preflight",
    "restorable",
    "stores",
)
"""What takes longest goes first, so that the last file is a short one, and no worker waits long for the other."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, the others as they come; the operator works, but for tests that bring their own."""
    files = [f"test_{name}.py" for name in _BY_LENGTH]
    items.sort(key=lambda item: files.index(item.path.name) if item.path.name in files else -1)
    for item in items:
        if _needs_the_operator(item):
            item.fixturenames.insert(0, "operator_at_work")


def _needs_the_operator(item: pytest.Item) -> bool:
    return item.path.parent == Path(__file__).parent and item.get_closest_marker("rest") is None


@pytest.fixture(scope="session")
def lab(kubectl: Kubectl, kubeconfig: str, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The lab; what an earlier run that was killed left is taken away first.

    Kafka costs 20 s of CPU: those that bring their own operator have no use for it.
    """
    data.fetch()
    lab = Lab(kubectl, NAMESPACE, kubeconfig)
    _remove(kubectl)
    parts = {"namespace": "", "s3": "deployment/versitygw"}
    if any(map(_needs_the_operator, request.session.items)):
        parts |= {"kafka": "statefulset/kafka", "tools": "deployment/tools"}
    for name in parts:
        lab.apply(f"manifests/demo/{name}.yaml", _quick_kafka)
    for workload in filter(None, parts.values()):
        kubectl("-n", NAMESPACE, "rollout", "status", workload, "--timeout=120s", seconds=130)
    yield lab
    logs = kubectl("-n", "penstock-system", "logs", "deployment/penstock", "--tail=-1", check=False).stdout
    Path(os.environ.get("PENSTOCK_LOGS", str(ROOT / ".venv"))).joinpath("operator.log").write_text(logs)
    _remove(kubectl)


def _quick_kafka(text: str) -> str:
    before = "            - name: KAFKA_HEAP\n"
    return text.replace(before, f"            - {json.dumps(KAFKA)}\n{before}")


def _remove(kubectl: Kubectl) -> None:
    remove(lambda *words, **options: str(kubectl(*words, **options).stdout), NAMESPACE, seconds=110)
