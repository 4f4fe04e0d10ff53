"""A real Kafka: the demo's own, in a namespace of the test."""

from __future__ import annotations

import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo import topic
from tests.quick import KAFKA

ROOT = Path(__file__).parents[2]


@contextmanager
def _kafka(kubectl: Callable[..., Any], kubeconfig: str, namespace: str) -> Iterator[str]:
    """The demo's own Kafka in a namespace, reached through a forwarded port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"localhost:{free.getsockname()[1]}"
    for found in yaml.safe_load_all((ROOT / "manifests/demo/kafka.yaml").read_text(encoding="utf-8")):
        found["metadata"]["namespace"] = namespace
        if found["kind"] == "StatefulSet":
            [container] = found["spec"]["template"]["spec"]["containers"]
            [advertised] = [entry for entry in container["env"] if entry["name"] == "KAFKA_ADVERTISED"]
            advertised["value"] = address  # clients come back by the address that Kafka tells them
            container["env"].append(KAFKA)
        kubectl("apply", "-f", "-", given=found)
    deadline = time.monotonic() + 120
    while kubectl("-n", namespace, "get", "pod", "kafka-0", check=False).returncode != 0:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    kubectl("-n", namespace, "wait", "pod/kafka-0", "--for=condition=Ready", "--timeout=45s")
    command = ["kubectl", "--kubeconfig", kubeconfig, "-n", namespace, "port-forward", "pod/kafka-0"]
    forward = subprocess.Popen(
        [*command, f"{address.rpartition(':')[2]}:9092"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert forward.stdout is not None
        assert "Forwarding from" in forward.stdout.readline()
        yield address
    finally:
        topic._admin.cache_clear()  # its client would go on calling a Kafka that is gone
        forward.kill()
        forward.communicate()


@pytest.fixture
def bootstrap(kubectl: Callable[..., Any], kubeconfig: str, kube_namespace: str) -> Iterator[str]:
    """A Kafka of the test's own."""
    with _kafka(kubectl, kubeconfig, kube_namespace) as address:
        yield address


@pytest.fixture(scope="module")
def broker(kubectl: Callable[..., Any], kubeconfig: str) -> Iterator[str]:
    """One Kafka for all tests of a file."""
    namespace = f"penstock-test-{secrets.token_hex(4)}"
    kubectl("create", "namespace", namespace)
    try:
        with _kafka(kubectl, kubeconfig, namespace) as address:
            yield address
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")
