"""The built-in cluster: one node on this machine, without Docker."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from typing import Any

from cluster import client, components, configs, gobuild, leftovers, network, pki, proc, tools
from cluster.images import catalogue
from cluster.say import say, step
from cluster.settings import NODE, ClusterError, Paths
from cluster.shell import attempt, run, tail_file

NODE_SECONDS = 60.0
# The stop order: first who makes pods, then (once the pods are gone) who they needed, containerd last.
BEFORE_PODS = ("coredns", "kubelet")
AFTER_PODS = ("kube-proxy", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd", "containerd")


def dead(paths: Paths) -> list[str]:
    """The components that do not run."""
    names = [component.name for component in components.everything(paths)]
    return [name for name in names if not proc.alive(components.identity(paths, name))]


def is_up(paths: Paths) -> bool:
    """Whether every component runs and is ready."""
    return not dead(paths) and all(component.ready() for component in components.everything(paths))


def prepare(paths: Paths) -> None:
    """Install and build whatever is missing; nothing is started."""
    tools.need_root()
    tools.install(tools.missing_packages())
    gobuild.build_cluster_programs(paths)


def _refuse_second_kubelet(paths: Paths) -> None:
    pid = leftovers.foreign_kubelet(paths)
    if pid is not None:
        raise ClusterError(
            f"A kubelet that is not this cluster's runs here (pid {pid}), and the two would get in each other's way: "
            "use its cluster with CLUSTER=current, or stop it."
        )


def _start(paths: Paths) -> None:
    cni = tools.cni_folder()
    if cni is None:
        raise ClusterError(f"The CNI plugins are missing: install the package {tools.CNI_PACKAGE}.")
    paths.state.mkdir(parents=True, exist_ok=True)
    with step("certificates", quiet_under=0.01):
        pki.ensure(paths)
    configs.write(paths, cni)
    network.set_kernel(paths)
    network.up()
    for number, wave in enumerate(components.waves(paths)):
        components.start_wave(paths, wave)
        if number == 0:
            # containerd remembers the pods of a cluster that was killed; the kubelet would find them one by one.
            remove_pods(paths)
            _import_pause(paths)


def _import_pause(paths: Paths) -> None:
    catalogue.ensure(paths, ["pause"])


def remove_pods(paths: Paths) -> None:
    """Remove every pod from containerd, with its shims, mounts, namespace and address."""
    run([paths.bin / "controlplane", "remove-pods", f"unix://{paths.socket}"], timeout=180)


def up(paths: Paths) -> None:
    """Bring the cluster up; at once when it is up."""
    prepare(paths)
    if is_up(paths):
        say("The cluster is up already.")
        return
    _refuse_second_kubelet(paths)
    if leftovers.describe(paths):
        missing = ", ".join(dead(paths)) or "nothing, but it is not ready"
        with step(f"taking away what an earlier cluster left (not running: {missing})"):
            leftovers.remove(paths)
    began = time.time()
    _start(paths)
    with step("waiting for the node and the default service account", quiet_under=0.01):
        _await_node(paths, began)


def node_ready(node: dict[str, Any] | None, since: float) -> bool:
    """Whether the node says Ready, and said so after `since`: what etcd holds of an earlier life does not count."""
    for condition in (node or {}).get("status", {}).get("conditions", []):
        if condition["type"] == "Ready" and condition["status"] == "True":
            beat = datetime.strptime(condition["lastHeartbeatTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            return beat.timestamp() >= int(since)
    return False


def _await_node(paths: Paths, since: float) -> None:
    deadline = time.monotonic() + NODE_SECONDS
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    while True:
        ready = node_ready(client.api_get(paths, f"/api/v1/nodes/{NODE}"), since)
        if ready and client.api_get(paths, account) is not None:
            return
        if time.monotonic() > deadline:
            log = components.log_file(paths, "kubelet")
            raise ClusterError(
                f"The node was not Ready within {NODE_SECONDS:.0f} s; the end of {log}:\n{tail_file(log)}"
            )
        time.sleep(0.1)


def _stop(paths: Paths, names: tuple[str, ...]) -> None:
    grace = {component.name: component.grace for component in components.everything(paths)}
    for name in names:
        who = components.identity(paths, name)
        proc.stop(who, grace[name])


def down(paths: Paths, *, purge: bool) -> list[str]:
    """Stop everything and take everything away but the images; return what is left all the same."""
    tools.need_root()
    _refuse_second_kubelet(paths)
    with step("stopping the components and removing the pods"):
        _stop(paths, BEFORE_PODS)
        if proc.alive(components.identity(paths, "containerd")):
            try:
                remove_pods(paths)
            except ClusterError as error:
                say(f"  not all pods could be removed in order, so they are killed: {error}")
        _stop(paths, AFTER_PODS)
    with step("taking away mounts, network devices, rules and cgroups"):
        leftovers.remove(paths)
        left = leftovers.describe(paths)
        if not [line for line in left if line.startswith("mount ")]:  # never delete through a mount
            _delete_state(paths, purge=purge)
    return left


def _delete_state(paths: Paths, *, purge: bool) -> None:
    kept = set() if purge else {paths.containerd_root, paths.logs}
    for entry in paths.state.iterdir() if paths.state.exists() else []:
        if entry in kept:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    if purge:
        attempt(["rmdir", paths.state])


def status(paths: Paths) -> list[tuple[str, str, str, str]]:
    """Rows of component, pid, readiness, log file."""
    rows = []
    for component in components.everything(paths):
        who = components.identity(paths, component.name)
        running = proc.alive(who)
        state = "ready" if running and component.ready() else ("not ready" if running else "stopped")
        pid = str(who.pid) if who and running else "-"
        rows.append((component.name, pid, state, str(components.log_file(paths, component.name))))
    return rows
