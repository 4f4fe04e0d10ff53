"""A real Kubernetes: where it is, kubectl for it, our kinds in it, a namespace for each test."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.host import ALLOWED_CONTEXTS

pytest_plugins = ["tests.scenarios"]
ROOT = Path(__file__).parents[1]

Kubectl = Callable[..., subprocess.CompletedProcess[str]]


def _find_kubeconfig() -> str:
    given = os.environ.get("PENSTOCK_TEST_KUBECONFIG")
    if given:
        return given
    asked = subprocess.run(
        [sys.executable, "-m", "cluster", "kubeconfig"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        pytest.fail(f"no test cluster: python -m cluster kubeconfig says {asked.stderr.strip()!r}; start one first")
    return asked.stdout.strip()


def _find_kubectl() -> str:
    """The machine's kubectl, else the one that the cluster was built with."""
    built = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "penstock" / "bin" / "kubectl"
    return shutil.which("kubectl") or str(built)


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    """Path of the kubeconfig of the test cluster. A missing cluster is an error, never a skip."""
    path = _find_kubeconfig()
    if not Path(path).is_file():
        pytest.fail(f"no test cluster: there is no kubeconfig {path}; start one first")
    refuse_any_other_cluster(path)
    return path


def refuse_any_other_cluster(path: str) -> None:
    """End the whole session when a kubeconfig leads to a cluster that was not made for these tests."""
    context = yaml.safe_load(Path(path).read_text()).get("current-context")
    if context not in ALLOWED_CONTEXTS:
        pytest.exit(
            f"the context {context!r} of {path} is not one of {', '.join(ALLOWED_CONTEXTS)}: "
            "these tests delete what they find and run in throw-away clusters only",
            returncode=4,
        )


@pytest.fixture(scope="session")
def kubectl(kubeconfig: str) -> Kubectl:
    """Run kubectl: `kubectl("get", "sj", check=False)`; `given` is an object for its standard input."""
    program = _find_kubectl()

    def run(
        *arguments: str, given: Any = None, check: bool = True, seconds: float = 50
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [program, "--kubeconfig", kubeconfig, *arguments],
            input=given if given is None or isinstance(given, str) else json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        if check and done.returncode != 0:
            pytest.fail(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done

    return run


_OPERATOR = ("-n", "penstock-system")


def _scale(kubectl: Kubectl, replicas: int) -> None:
    kubectl(*_OPERATOR, "scale", "deployment/penstock", f"--replicas={replicas}")


@pytest.fixture(scope="session")
def operator_at_rest(kubectl: Kubectl) -> None:
    """No installed operator works: for tests of the API server alone, or that bring an operator of their own.

    It stays at rest: whoever needs it has it work again. Tests of both kinds are not run side by side.
    """
    if kubectl(*_OPERATOR, "get", "deployment", "penstock", "--ignore-not-found", "-o", "name").stdout.strip():
        _scale(kubectl, 0)
        selector = ("-l", "app.kubernetes.io/name=penstock")
        kubectl(*_OPERATOR, "wait", "pod", *selector, "--for=delete", "--timeout=40s")


@pytest.fixture(scope="session")
def operator_at_work(kubectl: Kubectl) -> None:
    """The installed operator works."""
    _scale(kubectl, 1)
    kubectl(*_OPERATOR, "rollout", "status", "deployment/penstock", "--timeout=60s", seconds=70)


@pytest.fixture(scope="session")
def crds(kubectl: Kubectl) -> None:
    """Our kinds, as they lie in crds/."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(ROOT / "crds"))


@pytest.fixture
def kube_namespace(kubectl: Kubectl) -> Iterator[str]:
    """A fresh namespace, deleted afterwards without waiting for it."""
    name = f"penstock-test-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
