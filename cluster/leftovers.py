"""What a cluster leaves on the machine when it is killed: finding it and taking it away.

Everything is recognised as ours by a name that only we use: our state folder, our bridge, our tables. Nothing is ended
or deleted by a broad name.
"""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from cluster import components, mounts, network, proc
from cluster.settings import BRIDGE, NAME, ClusterError, Paths
from cluster.shell import attempt

CGROUP = Path("/sys/fs/cgroup")
PODS_CGROUP = "kubepods"
CNI_RESULTS = Path("/var/lib/cni/results")
CONTAINER_LOGS = Path("/var/log/containers")
# The kubelet, containerd and CNI make these, wherever their settings say that their files lie.
FIXED_FOLDERS = (
    "/var/lib/kubelet/device-plugins",
    "/var/lib/kubelet",
    "/var/lib/cni/results",
    "/var/lib/cni",
    "/var/log/containers",
    "/run/containerd/s",
    "/run/containerd",
)
KUBELETS = frozenset({"kubelet", "kubelite", "k3s", "k3s-server", "k3s-agent", "k0s", "rke2"})
NFT_TABLES = (("ip", NAME), ("ip", "kube-proxy"), ("ip6", "kube-proxy"))


def is_ours(words: list[str], paths: Paths) -> bool:
    """Whether a command line is one of our components' or of a containerd shim of ours."""
    if not words or not words[0]:
        return False
    program = Path(words[0]).name
    if program.startswith("containerd-shim"):
        return str(paths.socket) in words
    if program == "containerd":
        return str(paths.config / "containerd.toml") in words
    known = {f"{paths.bin / name}" for name in ("etcd", "coredns", "kubelet")}
    known |= {f"{paths.bin / f'kube-{name}'}" for name in ("apiserver", "controller-manager", "scheduler", "proxy")}
    return words[0] in known and any(str(paths.state) in word for word in words[1:])


def pods_cgroups() -> list[Path]:
    """The kubelet's cgroups: one on cgroup v2, one a controller on v1."""
    places = [CGROUP / PODS_CGROUP, *CGROUP.glob(f"*/{PODS_CGROUP}")]
    return [place for place in places if place.is_dir()]


def _pids_in_pods(paths: Paths) -> set[int]:
    """What runs in pods of ours: the kubelet's folder says which those are."""
    pods = paths.kubelet / "pods"
    ours = {f"pod{entry.name}" for entry in pods.iterdir()} if pods.is_dir() else set()
    pids: set[int] = set()
    for folder in [entry for place in pods_cgroups() for entry in place.rglob("pod*") if entry.name in ours]:
        for file in folder.rglob("cgroup.procs"):
            try:
                pids |= {int(word) for word in file.read_text().split()}
            except OSError:  # the cgroup went away
                continue
    return pids


def processes(paths: Paths) -> list[proc.Identity]:
    """Our live processes: by pid file, by command line, and what runs in pods."""
    pids = {pid for pid in proc.all_pids() if is_ours(proc.command_line(pid), paths)}
    pids |= _pids_in_pods(paths)
    known = [components.identity(paths, component.name) for component in components.everything(paths)]
    live = [proc.identify(pid) for pid in sorted(pids)]
    found = {who for who in (*live, *known) if who is not None and proc.alive(who)}
    return sorted(found, key=lambda who: who.pid)


def foreign_kubelet(paths: Paths) -> int | None:
    """The pid of a kubelet that is not ours, by any of its names.

    It would share the cgroup `kubepods` and kube-proxy's tables with us, and a clean-up would break its cluster.
    """
    for pid in proc.all_pids():
        words = proc.command_line(pid)
        if words and Path(words[0]).name in KUBELETS and not is_ours(words, paths):
            return pid
    return None


def links() -> list[str]:
    """Our bridge and the ends of pods' cables on it."""
    ports = attempt(["ip", "-o", "link", "show", "master", BRIDGE]) or ""
    found = [line.split(": ")[1].split("@")[0] for line in ports.splitlines() if ": " in line]
    return found + ([BRIDGE] if Path(f"/sys/class/net/{BRIDGE}").exists() else [])


def tables() -> list[str]:
    """Our nftables tables and kube-proxy's."""
    listed = {line.strip() for line in (attempt(["nft", "list", "tables"]) or "").splitlines()}
    return [f"{family} {name}" for family, name in NFT_TABLES if f"table {family} {name}" in listed]


def files(paths: Paths) -> list[Path]:
    """Files of ours outside the state folder: containerd's and the kubelet's fixed places."""
    found = list(CNI_RESULTS.glob(f"{NAME}-*")) if CNI_RESULTS.is_dir() else []
    for link in CONTAINER_LOGS.glob("*.log") if CONTAINER_LOGS.is_dir() else []:
        if link.is_symlink() and str(link.readlink()).startswith(str(paths.logs)):
            found.append(link)
    for address in paths.containerd_state.glob("io.containerd.runtime.v2.task/*/*/address"):
        socket = Path(address.read_text().strip().removeprefix("unix://"))
        if socket.exists():
            found.append(socket)
    return found


def describe(paths: Paths) -> list[str]:
    """Everything that is left, one line each."""
    lines = [f"process {who.pid}: {' '.join(proc.command_line(who.pid))[:120]}" for who in processes(paths)]
    lines += [f"mount {point}" for point in mounts.below(paths.state)]
    lines += [f"network device {link}" for link in links()]
    lines += [f"nftables table {table}" for table in tables()]
    lines += [f"cgroup {place}" for place in pods_cgroups()]
    lines += [f"file {file}" for file in files(paths)]
    return lines


def _kill(paths: Paths) -> None:
    for _ in range(5):  # a shim may have started another process meanwhile
        live = processes(paths)
        if not live:
            return
        for who in live:
            proc.send(who, signal.SIGKILL)
        proc.wait_gone(live, 3)
    stuck = ", ".join(str(who.pid) for who in processes(paths))
    if stuck:
        raise ClusterError(f"These processes do not die: {stuck}. Restart the machine.")


def _remove_cgroups() -> None:
    for place in pods_cgroups():
        # A cgroup is removed by rmdir, the deepest first; its files are not files.
        folders = [entry for entry in place.rglob("*") if entry.is_dir()]
        for folder in [*sorted(folders, key=lambda entry: len(entry.parts), reverse=True), place]:
            try:
                folder.rmdir()
            except OSError:  # still busy: `describe` will name it
                continue


def remove(paths: Paths) -> None:
    """Take everything away: processes, mounts, devices, tables, cgroups, files. Images and etcd's data stay.

    pids and run state go too; the caller decides about the rest of the state folder.
    """
    _kill(paths)
    stray = files(paths)
    mounts.remove(paths.state)
    for link in links():
        attempt(["ip", "link", "delete", link])
    for table in tables():
        attempt(["nft", "delete", "table", *table.split()])
    _remove_cgroups()
    for file in stray:
        file.unlink(missing_ok=True)
    for fixed in FIXED_FOLDERS:
        attempt(["rmdir", fixed])  # fails, rightly, while anything lies in it
    network.restore_kernel(paths)
    for folder in (paths.pids, paths.containerd_state, paths.state / "ipam", paths.state / "runc"):
        if not mounts.below(folder):
            shutil.rmtree(folder, ignore_errors=True)
    paths.socket.unlink(missing_ok=True)
    paths.socket.with_name(paths.socket.name + ".ttrpc").unlink(missing_ok=True)
