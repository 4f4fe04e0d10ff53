"""Names, addresses, ports, versions and folders of the local cluster, in one place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

NAME = "penstock"
"""kind's cluster, the CNI network and the nftables table are called so."""

CONTEXT = "penstock-local"
NODE = "penstock-node"
BRIDGE = "penstock0"

# One /23 that neither Docker, kind nor kubeadm uses by default: pods in its first half, services in its second.
POD_CIDR = "10.85.0.0/24"
GATEWAY = "10.85.0.1"
BRIDGE_MAC = "0a:58:0a:55:00:01"
"""Locally administered; the last four bytes are the gateway's address, as CNI plugins name theirs."""
SERVICE_CIDR = "10.85.1.0/24"
KUBERNETES_SERVICE = "10.85.1.1"
CLUSTER_DOMAIN = "cluster.local"

# All between 17000 and 18000, where little else listens, and none of them Kubernetes' usual port.
API_PORT = 17443
ETCD_PORT = 17379
ETCD_PEER_PORT = 17380
KUBELET_PORT = 17250
KUBELET_HEALTH_PORT = 17248
MANAGER_PORT = 17257
SCHEDULER_PORT = 17259
PROXY_HEALTH_PORT = 17256
PROXY_METRICS_PORT = 17249
DNS_READY_PORT = 17181

KUBERNETES_VERSION = "1.35.4"
FLINK_VERSION = "2.3.0"
KAFKA_VERSION = "4.3.1"
KAFKA_CONNECTOR_VERSION = "5.0.0-2.2"
VERSITYGW_VERSION = "1.8.0"
DEBIAN_SUITE = "bookworm"

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = Path(__file__).resolve().parent


class ClusterError(Exception):
    """Something the user can act on; its text is a whole sentence and is printed without a traceback."""


@dataclass(frozen=True)
class Paths:
    """Where things lie: `cache` is built once and kept, `state` belongs to the running cluster."""

    cache: Path
    state: Path

    @property
    def bin(self) -> Path:
        """The programs built here; safe to put on PATH."""
        return self.cache / "bin"

    @property
    def pki(self) -> Path:
        """Certificates, keys and the kubeconfig of every component."""
        return self.state / "pki"

    @property
    def config(self) -> Path:
        """Rendered configuration files."""
        return self.state / "config"

    @property
    def logs(self) -> Path:
        """One <component>.log each, and pods/ with the containers' own."""
        return self.state / "logs"

    @property
    def pids(self) -> Path:
        """One <component>.json each: who was started."""
        return self.state / "pids"

    @property
    def kubelet(self) -> Path:
        """The kubelet's root: pod volumes."""
        return self.state / "kubelet"

    @property
    def containerd_root(self) -> Path:
        """Containerd's images and snapshots; kept by `down`, so that the next `images` is quick."""
        return self.state / "containerd"

    @property
    def containerd_state(self) -> Path:
        """Containerd's running containers."""
        return self.state / "run"

    @property
    def socket(self) -> Path:
        """Containerd's socket. Socket paths end at 107 characters: hence so near the root."""
        return self.state / "ctd.sock"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"


def paths() -> Paths:
    """The folders, from XDG_CACHE_HOME and PENSTOCK_CLUSTER_DIR."""
    home_cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    state = os.environ.get("PENSTOCK_CLUSTER_DIR") or "/var/lib/penstock-cluster"
    # Resolved: the kernel's list of mounts knows no symbolic links.
    return Paths(cache=Path(home_cache).resolve() / NAME, state=Path(state).resolve())
