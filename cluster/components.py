"""What runs outside pods: each component's command, how it shows that it is ready, and in which order."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cluster import client, proc
from cluster.say import step
from cluster.settings import (
    API_PORT,
    DNS_READY_PORT,
    ETCD_PEER_PORT,
    ETCD_PORT,
    GATEWAY,
    KUBELET_HEALTH_PORT,
    MANAGER_PORT,
    NODE,
    POD_CIDR,
    PROXY_HEALTH_PORT,
    SCHEDULER_PORT,
    SERVICE_CIDR,
    ClusterError,
    Paths,
)
from cluster.shell import attempt, tail_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_GO = {"GOGC": "400"}
"""The garbage collector of Go takes a quarter of these programs' time otherwise; memory is not short."""
ISSUER = "https://kubernetes.default.svc.cluster.local"


@dataclass(frozen=True)
class Component:
    """One background process."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool]
    deadline: float = 60.0
    grace: float = 5.0
    env: dict[str, str] = field(default_factory=lambda: dict(_GO))


def _command(paths: Paths, name: str, flags: Mapping[str, object]) -> tuple[str, ...]:
    return (str(paths.bin / name), *(f"--{flag}={value}" for flag, value in flags.items()))


def _etcd(paths: Paths) -> Component:
    here = f"http://127.0.0.1:{ETCD_PORT}"
    peer = f"http://127.0.0.1:{ETCD_PEER_PORT}"
    flags = {
        "name": NODE,
        "data-dir": paths.state / "etcd",
        "listen-client-urls": here,
        "advertise-client-urls": here,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"{NODE}={peer}",
        # A throw-away cluster need not survive a power cut, and fsync is most of what a write costs.
        "unsafe-no-fsync": "true",
        "auto-compaction-retention": "1h",
        "log-level": "warn",
    }
    return Component("etcd", _command(paths, "etcd", flags), lambda: client.get(f"{here}/health") is not None, 30)


def _containerd(paths: Paths) -> Component:
    command = ("containerd", "--config", str(paths.config / "containerd.toml"), "--log-level", "warn")
    probe = ["ctr", "--address", str(paths.socket), "version"]
    return Component("containerd", command, lambda: paths.socket.exists() and attempt(probe, 5) is not None, 60, 10)


def _apiserver(paths: Paths) -> Component:
    pki = paths.pki
    flags = {
        "etcd-servers": f"http://127.0.0.1:{ETCD_PORT}",
        # Pods come by the kubernetes Service, whose endpoint is the bridge's address; people by loopback.
        "bind-address": "0.0.0.0",  # noqa: S104 - pods must reach it
        "advertise-address": GATEWAY,
        "secure-port": API_PORT,
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
        "client-ca-file": pki / "ca.crt",
        "service-account-issuer": ISSUER,
        "service-account-key-file": pki / "sa.key",
        "service-account-signing-key-file": pki / "sa.key",
        "service-cluster-ip-range": SERVICE_CIDR,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        # kubectl logs and exec.
        "kubelet-preferred-address-types": "InternalIP",
        "kubelet-certificate-authority": pki / "ca.crt",
        "kubelet-client-certificate": pki / "apiserver-kubelet.crt",
        "kubelet-client-key": pki / "apiserver-kubelet.key",
        # One API server: wait for nobody on the way down.
        "shutdown-delay-duration": "0s",
    }
    command = _command(paths, "kube-apiserver", flags)
    url = f"https://127.0.0.1:{API_PORT}/readyz"
    return Component("kube-apiserver", command, lambda: client.get(url, client.admin(paths)) is not None, 90, 5)


def _manager(paths: Paths) -> Component:
    config = paths.pki / "kube-controller-manager.kubeconfig"
    flags = {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "bind-address": "127.0.0.1",
        "secure-port": MANAGER_PORT,
        "service-account-private-key-file": paths.pki / "sa.key",
        "root-ca-file": paths.pki / "ca.crt",
        "cluster-signing-cert-file": paths.pki / "ca.crt",
        "cluster-signing-key-file": paths.pki / "ca.key",
        "use-service-account-credentials": "true",
        "leader-elect": "false",
        "cluster-cidr": POD_CIDR,
        "allocate-node-cidrs": "false",
        "flex-volume-plugin-dir": paths.kubelet / "volumeplugins",
        "kube-api-qps": 200,
        "kube-api-burst": 400,
    }
    command = _command(paths, "kube-controller-manager", flags)
    url = f"https://127.0.0.1:{MANAGER_PORT}/healthz"
    return Component("kube-controller-manager", command, lambda: client.get(url) is not None)


def _scheduler(paths: Paths) -> Component:
    config = paths.pki / "kube-scheduler.kubeconfig"
    flags = {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "bind-address": "127.0.0.1",
        "secure-port": SCHEDULER_PORT,
        "leader-elect": "false",
        "kube-api-qps": 200,
        "kube-api-burst": 400,
    }
    command = _command(paths, "kube-scheduler", flags)
    url = f"https://127.0.0.1:{SCHEDULER_PORT}/healthz"
    return Component("kube-scheduler", command, lambda: client.get(url) is not None)


def _kubelet(paths: Paths) -> Component:
    flags = {
        "config": paths.config / "kubelet.json",
        "kubeconfig": paths.pki / "kubelet.kubeconfig",
        "root-dir": paths.kubelet,
        "cert-dir": paths.kubelet / "pki",
        "hostname-override": NODE,
        "node-ip": GATEWAY,
    }
    command = _command(paths, "kubelet", flags)
    url = f"http://127.0.0.1:{KUBELET_HEALTH_PORT}/healthz"
    return Component("kubelet", command, lambda: client.get(url) is not None)


def _proxy(paths: Paths) -> Component:
    command = _command(paths, "kube-proxy", {"config": paths.config / "kube-proxy.json"})
    url = f"http://127.0.0.1:{PROXY_HEALTH_PORT}/healthz"
    return Component("kube-proxy", command, lambda: client.get(url) is not None)


def _coredns(paths: Paths) -> Component:
    command = (str(paths.bin / "coredns"), "-conf", str(paths.config / "Corefile"))
    url = f"http://127.0.0.1:{DNS_READY_PORT}/ready"
    return Component("coredns", command, lambda: client.get(url) is not None)


def waves(paths: Paths) -> list[list[Component]]:
    """The components in their order of start; those of one wave need nothing of each other."""
    return [
        [_etcd(paths), _containerd(paths)],
        [_apiserver(paths)],
        [_manager(paths), _scheduler(paths), _kubelet(paths), _proxy(paths), _coredns(paths)],
    ]


def everything(paths: Paths) -> list[Component]:
    """All components in their order of start."""
    return [component for wave in waves(paths) for component in wave]


def pid_file(paths: Paths, name: str) -> Path:
    """Where a component's identity is kept."""
    return paths.pids / f"{name}.json"


def log_file(paths: Paths, name: str) -> Path:
    """Where a component writes."""
    return paths.logs / f"{name}.log"


def identity(paths: Paths, name: str) -> proc.Identity | None:
    """Who a component is, alive or not."""
    return proc.load(pid_file(paths, name))


def start(paths: Paths, component: Component) -> None:
    """Start one component; its log begins anew, and the one before is kept as .log.old."""
    log = log_file(paths, component.name)
    if log.exists():
        log.replace(log.with_suffix(".log.old"))
    proc.start(component.command, pid_file(paths, component.name), log, component.env)


def await_ready(paths: Paths, component: Component) -> None:
    """Wait until a component is ready; say why it is not, with the end of its log, when it died or is late."""
    deadline = time.monotonic() + component.deadline
    log = log_file(paths, component.name)
    while True:
        # In this order: when a port is taken, what answers on it is somebody else, and ours has ended.
        if not proc.alive(identity(paths, component.name)):
            raise ClusterError(f"{component.name} ended by itself; the end of {log}:\n{tail_file(log)}")
        if component.ready():
            return
        if time.monotonic() > deadline:
            raise ClusterError(
                f"{component.name} was not ready within {component.deadline:.0f} s; the end of {log}:\n{tail_file(log)}"
            )
        time.sleep(0.1)


def start_wave(paths: Paths, wave: Sequence[Component]) -> None:
    """Start components side by side and wait for all."""
    with step("starting " + ", ".join(component.name for component in wave), quiet_under=0.01):
        for component in wave:
            start(paths, component)
        for component in wave:
            await_ready(paths, component)
