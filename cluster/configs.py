"""The components' configuration files, rendered from the settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cluster.cache import write_atomic
from cluster.settings import (
    BRIDGE,
    CLUSTER_DOMAIN,
    DNS_READY_PORT,
    GATEWAY,
    KUBELET_HEALTH_PORT,
    KUBELET_PORT,
    NAME,
    NODE,
    POD_CIDR,
    PROXY_HEALTH_PORT,
    PROXY_METRICS_PORT,
    Paths,
)

if TYPE_CHECKING:
    from pathlib import Path

PAUSE_IMAGE = "docker.io/local/pause:1"


def containerd(paths: Paths, cni: Path) -> str:
    """Containerd 1.6's config.toml (version 2; 1.7 and 2.x still read it)."""
    return f"""\
version = 2
root = "{paths.containerd_root}"
state = "{paths.containerd_state}"
oom_score = 0
[grpc]
  address = "{paths.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{paths.containerd_root}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Where the machine may not lower oom_score_adj (no CAP_SYS_RESOURCE), every sandbox would fail without this.
  restrict_oom_score_adj = true
  # Network namespaces below our own folder, so that a clean-up knows them as ours.
  netns_mounts_under_state_dir = true
  # No registry, hence nothing to pull at the same time; and no streaming server on a public address.
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{paths.config}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = "{paths.state}/runc"
        SystemdCgroup = false
"""


def cni(paths: Paths) -> dict[str, Any]:
    """The pod network: one bridge. No ipMasq, which would want iptables: masquerading is our own nftables table."""
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        # A pod that calls the Service it is behind comes back through the port it left by.
        "hairpinMode": True,
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "dataDir": str(paths.state / "ipam"),
            "ranges": [[{"subnet": POD_CIDR, "gateway": GATEWAY}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {"cniVersion": "0.4.0", "name": NAME, "plugins": [bridge]}


def kubelet(paths: Paths) -> dict[str, Any]:
    """KubeletConfiguration."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "port": KUBELET_PORT,
        "healthzPort": KUBELET_HEALTH_PORT,
        "healthzBindAddress": "127.0.0.1",
        "containerRuntimeEndpoint": f"unix://{paths.socket}",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{paths.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{paths.pki}/kubelet-serving.crt",
        "tlsPrivateKeyFile": f"{paths.pki}/kubelet-serving.key",
        "resolvConf": "/etc/resolv.conf",
        "clusterDNS": [GATEWAY],
        "clusterDomain": CLUSTER_DOMAIN,
        "podLogsDir": f"{paths.logs}/pods",
        "volumePluginDir": f"{paths.kubelet}/volumeplugins",
        # kube-proxy uses nftables, and no other component of ours needs iptables.
        "makeIPTablesUtilChains": False,
        "protectKernelDefaults": False,
        # Images exist only here: what the kubelet deletes cannot be pulled again.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        # Speed: pods that come and go by the dozen in tests.
        "serializeImagePulls": False,
        "registerWithTaints": [],
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "eventRecordQPS": 100,
        "eventBurst": 200,
        "shutdownGracePeriod": "0s",
        "maxPods": 200,
    }


def proxy(paths: Paths) -> dict[str, Any]:
    """KubeProxyConfiguration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": f"{paths.pki}/kube-proxy.kubeconfig"},
        "clusterCIDR": POD_CIDR,
        "hostnameOverride": NODE,
        "oomScoreAdj": 0,
        "healthzBindAddress": f"127.0.0.1:{PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"127.0.0.1:{PROXY_METRICS_PORT}",
        "nftables": {"minSyncPeriod": "0s", "syncPeriod": "30s"},
        # Zeros: leave the machine's conntrack settings alone (in a container they cannot be written).
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def corefile(paths: Paths) -> str:
    """CoreDNS on the bridge's address: names of the cluster, and the rest from the machine's own resolver."""
    return f"""\
.:53 {{
    bind {GATEWAY}
    errors
    ready 127.0.0.1:{DNS_READY_PORT}
    cache 5
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {paths.pki}/coredns.kubeconfig
        ttl 5
    }}
    forward . /etc/resolv.conf
}}
"""


def write(paths: Paths, cni_plugins: Path) -> None:
    """Write all of them."""

    def as_json(value: dict[str, Any]) -> str:
        return json.dumps(value, indent=2) + "\n"

    write_atomic(paths.config / "containerd.toml", containerd(paths, cni_plugins))
    write_atomic(paths.config / "cni" / "10-penstock.conflist", as_json(cni(paths)))
    write_atomic(paths.config / "kubelet.json", as_json(kubelet(paths)))
    write_atomic(paths.config / "kube-proxy.json", as_json(proxy(paths)))
    write_atomic(paths.config / "Corefile", corefile(paths))
