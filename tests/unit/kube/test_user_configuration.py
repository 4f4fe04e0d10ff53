"""Which cluster and which namespace a user's command is about."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from penstock.errors import Refused
from penstock.kube.client import load_user_configuration, user_namespace


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    """Two contexts, one of them with a namespace; the other is the current one."""
    written = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "plain",
        "clusters": [{"name": name, "cluster": {"server": f"http://{name}:8080"}} for name in ("one", "two")],
        "users": [{"name": "me", "user": {}}],
        "contexts": [
            {"name": "plain", "context": {"cluster": "one", "user": "me"}},
            {"name": "team", "context": {"cluster": "two", "user": "me", "namespace": "flights"}},
        ],
    }
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(written))
    return str(file)


@pytest.mark.parametrize(("context", "namespace"), [(None, "default"), ("plain", "default"), ("team", "flights")])
def test_the_namespace_is_the_contexts(kubeconfig: str, context: str | None, namespace: str) -> None:
    assert user_namespace(kubeconfig, context) == namespace


@pytest.mark.parametrize(("context", "host"), [(None, "http://one:8080"), ("team", "http://two:8080")])
async def test_the_cluster_is_the_contexts(kubeconfig: str, context: str | None, host: str) -> None:
    assert (await load_user_configuration(kubeconfig, context)).host == host


async def test_a_context_that_is_not_there(kubeconfig: str) -> None:
    with pytest.raises(Refused, match="kubeconfig: "):
        await load_user_configuration(kubeconfig, "other")


async def test_no_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="kubeconfig: "):
        await load_user_configuration(str(tmp_path / "none"), None)
    with pytest.raises(Refused, match="kubeconfig: "):
        user_namespace(str(tmp_path / "none"), None)
