from __future__ import annotations

from pathlib import Path

import pytest

from cluster import leftovers, mounts
from cluster.settings import Paths

HERE = Paths(cache=Path("/c/penstock"), state=Path("/s"))

MOUNTINFO = """\
1 0 254:0 / / rw,relatime - ext4 /dev/vda rw
2 1 0:1 / /s/kubelet/pods/a/volumes/v rw - tmpfs tmpfs rw
3 1 0:2 / /s/run/rootfs rw - overlay overlay rw
4 1 0:2 / /s/run/rootfs rw - overlay overlay rw
5 1 0:3 / /s2/other rw - tmpfs tmpfs rw
6 1 0:4 / /s/with\\040blank/x rw - tmpfs tmpfs rw
broken
"""


def test_only_mounts_below_the_folder_are_found_deepest_first() -> None:
    assert mounts.parse(MOUNTINFO, Path("/s")) == [
        "/s/kubelet/pods/a/volumes/v",
        "/s/with blank/x",
        "/s/run/rootfs",
        "/s/run/rootfs",
    ]


@pytest.mark.parametrize(
    "command",
    [
        "/c/penstock/bin/kubelet --config=/s/config/kubelet.json",
        "/c/penstock/bin/etcd --data-dir=/s/etcd",
        "containerd --config /s/config/containerd.toml",
        "/usr/bin/containerd-shim-runc-v2 -namespace k8s.io -id x -address /s/ctd.sock",
    ],
)
def test_what_we_started_is_ours(command: str) -> None:
    assert leftovers.is_ours(command.split(), HERE)


@pytest.mark.parametrize(
    "command",
    [
        "",
        "/usr/bin/kubelet --config=/s/config/kubelet.json",
        "/c/penstock/bin/kubelet --config=/another/config/kubelet.json",
        "/usr/bin/containerd",
        "/usr/bin/containerd-shim-runc-v2 -namespace moby -address /run/containerd/containerd.sock",
        "vim /s/config/kubelet.json",
        "/c/penstock/bin/kubectl --kubeconfig=/s/kubeconfig get pods",
    ],
)
def test_what_others_started_is_not_ours(command: str) -> None:
    assert not leftovers.is_ours(command.split(), HERE)
