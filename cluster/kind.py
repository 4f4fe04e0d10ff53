"""The thin path for machines with Docker: a kind cluster. Not proven yet; the built-in cluster is what is tested."""

from __future__ import annotations

import shutil

from cluster.say import say, step
from cluster.settings import NAME, ClusterError, Paths
from cluster.shell import attempt, run


def docker_answers() -> bool:
    """Whether there is a Docker engine."""
    return shutil.which("docker") is not None and attempt(["docker", "info"], 10) is not None


def _need_kind() -> None:
    if shutil.which("kind") is None:
        raise ClusterError("kind is missing: install it, or set CLUSTER=builtin (needs root, no Docker).")


def up(paths: Paths) -> None:
    """Create the kind cluster unless there is one, and write its kubeconfig."""
    _need_kind()
    say("  (kind: this path is not yet proven; CLUSTER=builtin is the one that is tested)")
    paths.state.mkdir(parents=True, exist_ok=True)
    if NAME in run(["kind", "get", "clusters"]).split():
        run(["kind", "export", "kubeconfig", "--name", NAME, "--kubeconfig", paths.kubeconfig])
        return
    with step("creating the kind cluster"):
        run(["kind", "create", "cluster", "--name", NAME, "--wait", "120s", "--kubeconfig", paths.kubeconfig])


def down(paths: Paths) -> None:
    """Delete the kind cluster."""
    _need_kind()
    run(["kind", "delete", "cluster", "--name", NAME, "--kubeconfig", paths.kubeconfig])
