"""The machine's network for pods: a bridge, masquerading, and kernel settings that are put back afterwards."""

from __future__ import annotations

import json
from pathlib import Path

from cluster.cache import write_atomic
from cluster.settings import BRIDGE, BRIDGE_MAC, GATEWAY, NAME, POD_CIDR, SERVICE_CIDR, ClusterError, Paths
from cluster.shell import attempt, run

SYSCTL = Path("/proc/sys")

# setting -> the least value that pods need
WANTED = {
    "net/ipv4/ip_forward": 1,
    # A pod's answer to a Service's client on the same bridge must pass through the NAT that changed its address.
    "net/bridge/bridge-nf-call-iptables": 1,
    # 128 is the kernel's default; the kubelet and every `tail -f` take some.
    "fs/inotify/max_user_instances": 1024,
}

MASQUERADE = f"""\
table ip {NAME} {{
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {POD_CIDR} ip daddr != {{ {POD_CIDR}, {SERVICE_CIDR} }} masquerade
    }}
}}
"""


def _saved(paths: Paths) -> Path:
    return paths.state / "sysctl.json"


def set_kernel(paths: Paths) -> None:
    """Raise the kernel settings that pods need, and remember what they were."""
    if not (SYSCTL / "net/bridge").exists():
        attempt(["modprobe", "br_netfilter"])
    before: dict[str, int] = {}
    for name, least in WANTED.items():
        file = SYSCTL / name
        try:
            value = int(file.read_text())
            if value < least:
                file.write_text(f"{least}\n")
                before[name] = value
        except OSError as error:
            raise ClusterError(f"The kernel setting {file} cannot be set to {least}: {error}.") from error
    # What an earlier `up` that was killed remembered is the truth; ours would be its values.
    remembered = before | _remembered(paths)
    if remembered:
        write_atomic(_saved(paths), json.dumps(remembered))


def _remembered(paths: Paths) -> dict[str, int]:
    try:
        return {str(name): int(value) for name, value in json.loads(_saved(paths).read_text()).items()}
    except (OSError, ValueError):
        return {}


def restore_kernel(paths: Paths) -> None:
    """Put the kernel settings back."""
    for name, value in _remembered(paths).items():
        if name in WANTED:
            (SYSCTL / name).write_text(f"{value}\n")
    _saved(paths).unlink(missing_ok=True)


def up() -> None:
    """Make the bridge and the masquerading rule; what is there already stays.

    The bridge must be there before the kubelet: its address is the node's.
    """
    if attempt(["ip", "link", "show", BRIDGE]) is None:
        run(["ip", "link", "add", BRIDGE, "type", "bridge"])
    # Its own, and not that of the port with the lowest one: a pod that goes would change it, and the others would look
    # for their gateway (name server, Services) at the old address for up to 40 s.
    run(["ip", "link", "set", BRIDGE, "address", BRIDGE_MAC])
    run(["ip", "addr", "replace", f"{GATEWAY}/{POD_CIDR.split('/')[1]}", "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])
    # Declared, emptied and declared again in one transaction: the same after any number of calls.
    run(["nft", "-f", "-"], stdin=f"table ip {NAME}\ndelete table ip {NAME}\n{MASQUERADE}")
