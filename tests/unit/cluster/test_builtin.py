from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster import __main__ as command
from cluster import builtin, components, configs, gobuild
from cluster.settings import Paths

HERE = Paths(cache=Path("/c/penstock"), state=Path("/s"))


def node(status: str, beat: str) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": "Ready", "status": status, "lastHeartbeatTime": beat}]}}


def test_a_node_is_ready_only_when_it_said_so_in_this_life() -> None:
    beat = "1970-01-01T00:01:40Z"
    assert builtin.node_ready(node("True", beat), 100.7)
    assert not builtin.node_ready(node("True", beat), 101.0)
    assert not builtin.node_ready(node("Unknown", beat), 0)
    assert not builtin.node_ready(None, 0)
    assert not builtin.node_ready({}, 0)


def test_every_component_is_stopped() -> None:
    names = {component.name for component in components.everything(HERE)}
    assert names == {*builtin.BEFORE_PODS, *builtin.AFTER_PODS}


def test_the_socket_path_is_short_enough_for_the_kernel() -> None:
    assert len(str(Paths(Path("/x"), Path("/var/lib/penstock-cluster")).socket)) < 60


def test_configuration_names_our_folders_only() -> None:
    for text in (configs.containerd(HERE, Path("/usr/lib/cni")), json.dumps(configs.kubelet(HERE))):
        assert "/s/" in text
        assert "/var/lib/containerd" not in text
        assert "/run/containerd" not in text


def test_a_program_is_built_again_when_a_flag_changes() -> None:
    program = gobuild.PAUSE
    assert program.key() == gobuild.Program("pause").key()
    assert program.key() != gobuild.Program("pause", ldflags="-w").key()


def test_the_choice_of_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = Paths(tmp_path, tmp_path / "state")
    monkeypatch.setenv("CLUSTER", "current")
    assert command.choose(where) == "current"
    monkeypatch.setenv("CLUSTER", "minikube")
    with pytest.raises(command.ClusterError, match="CLUSTER=minikube is unknown"):
        command.choose(where)
    monkeypatch.delenv("CLUSTER")
    monkeypatch.setattr(command.kind, "docker_answers", lambda: True)
    assert command.choose(where) == "kind"
    where.pids.mkdir(parents=True)
    assert command.choose(where) == "builtin"
