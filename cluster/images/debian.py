"""Base layers: small Debian installations made by debootstrap."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from cluster import mounts, tools
from cluster.cache import digest
from cluster.images.layer import Layer, as_on_disk, layer
from cluster.settings import DEBIAN_SUITE, Paths
from cluster.shell import run

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RECIPE = "3"  # raise it to have every base made again
UNNEEDED = (
    "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian", "var/cache", "var/log",
    "var/lib/apt/lists", "proc", "sys", "dev", "run", "tmp",
)  # fmt: skip
# Folders that must exist, empty, in a root file system that is mounted read-only.
EMPTY = {"proc": 0o555, "sys": 0o555, "dev": 0o755, "run": 0o755, "tmp": 0o1777, "var/log": 0o755, "var/cache": 0o755}
USERS = {"flink": 9999, "app": 65532}

JRE_PACKAGES = ("openjdk-17-jre-headless", "tini", "ca-certificates", "libjemalloc2", "libsnappy1v5", "gettext-base")
PYTHON_PACKAGES = ("python3", "ca-certificates", "tini")


def _add_users(tree: Path) -> None:
    for name, number in USERS.items():
        with (tree / "etc/passwd").open("a") as file:
            file.write(f"{name}:x:{number}:{number}::/tmp:/usr/sbin/nologin\n")
        with (tree / "etc/group").open("a") as file:
            file.write(f"{name}:x:{number}:\n")


def _slim(tree: Path) -> None:
    for name in UNNEEDED:
        shutil.rmtree(tree / name, ignore_errors=True)
    for name, mode in EMPTY.items():
        (tree / name).mkdir(parents=True, exist_ok=True)
        (tree / name).chmod(mode)
    for name in ("etc/hostname", "etc/resolv.conf", "etc/machine-id"):
        (tree / name).unlink(missing_ok=True)


def base(paths: Paths, name: str, packages: Iterable[str], *, keep_tree: bool = False) -> Layer:
    """A base layer with these packages."""
    include = ",".join(packages)

    def fill(tree: Path) -> None:
        tools.need_root()
        program = tools.need("debootstrap", "debootstrap")
        debs = paths.cache / "debs"
        debs.mkdir(parents=True, exist_ok=True)
        command = ["nice", program, "--variant=minbase", f"--include={include}", f"--cache-dir={debs.resolve()}"]
        try:
            run([*command, DEBIAN_SUITE, tree])
        finally:
            # debootstrap mounts proc and sys into the tree; when it fails half-way they stay.
            mounts.remove(tree.resolve())
        _add_users(tree)
        _slim(tree)

    return layer(paths, name, digest(RECIPE, DEBIAN_SUITE, include), fill, as_on_disk, keep_tree=keep_tree)


def jre(paths: Paths) -> Layer:
    """Debian with Java 17, for Flink and Kafka."""
    return base(paths, "base-jre", JRE_PACKAGES)


def python(paths: Paths) -> Layer:
    """Debian with Python 3.11. Its tree is kept: its Python compiles the layers above."""
    return base(paths, "base-python", PYTHON_PACKAGES, keep_tree=True)


def python_tree(paths: Paths) -> Path:
    """The Python base's files."""
    return python(paths).path.parent / "tree"
