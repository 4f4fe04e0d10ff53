"""Layers: a tree of files as a tar that is the same whenever its inputs are."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.cache import built, sweep
from cluster.say import step

if TYPE_CHECKING:
    from pathlib import Path

    from cluster.settings import Paths

EPOCH = 1_767_225_600
"""The time of every file that we lay: 2026-01-01. One constant, so that a rebuilt layer has the same digest."""

CHUNK = 1 << 20
Owner = Callable[[str], tuple[int, int] | None]
"""Path inside the image -> uid and gid, or None to keep the file's own."""


@dataclass(frozen=True)
class Layer:
    """An uncompressed layer in the cache. Its digest is also its diff id."""

    path: Path
    digest: str
    size: int


def root_owned(_: str) -> tuple[int, int] | None:
    """Everything belongs to root."""
    return (0, 0)


def as_on_disk(_: str) -> tuple[int, int] | None:
    """Owners as they are in the tree (a Debian installation)."""
    return None


def pack(tree: Path, target: Path, owner: Owner = root_owned) -> None:
    """Write a tree as a tar: sorted names, fixed times, no user names."""

    def normal(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        whose = owner(entry.name)
        if whose is not None:
            entry.uid, entry.gid = whose
        entry.uname = entry.gname = ""
        entry.mtime = EPOCH
        return entry

    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(tree.rglob("*")):
            if path.is_socket():
                continue
            tar.add(path, arcname=str(path.relative_to(tree)), recursive=False, filter=normal)


def file_digest(path: Path) -> str:
    """`sha256:<hex>` of a file."""
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            hashed.update(chunk)
    return f"sha256:{hashed.hexdigest()}"


def layer(
    paths: Paths,
    name: str,
    key: str,
    fill: Callable[[Path], None],
    owner: Owner = root_owned,
    *,
    keep_tree: bool = False,
) -> Layer:
    """The layer `name` with these inputs (`key`); `fill` lays its files into an empty folder when it must be made.

    With `keep_tree` the folder stays beside the tar, as <layer>/tree.
    """

    def build(folder: Path) -> None:
        tree = folder / "tree"
        tree.mkdir(parents=True)
        # The image's root and what `fill` makes must not depend on the caller's umask.
        tree.chmod(0o755)
        fill(tree)
        pack(tree, folder / "layer.tar", owner)
        if not keep_tree:
            shutil.rmtree(tree)
        tar = folder / "layer.tar"
        (folder / "layer.json").write_text(json.dumps({"digest": file_digest(tar), "size": tar.stat().st_size}))

    folder = paths.cache / "layers" / f"{name}-{key}"
    if not folder.exists():
        with step(f"building the layer {name}"):
            built(folder, build)
        sweep(folder.parent, [folder], f"{name}-{'[0-9a-f]' * len(key)}")
    meta = json.loads((folder / "layer.json").read_text())
    return Layer(folder / "layer.tar", str(meta["digest"]), int(meta["size"]))


def put(tree: Path, name: str, data: str | bytes, mode: int = 0o644) -> None:
    """Lay one file into a tree."""
    path = tree / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    path.chmod(mode)


def copy(tree: Path, name: str, source: Path, mode: int = 0o644) -> None:
    """Lay a copy of a file into a tree."""
    path = tree / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, path)
    path.chmod(mode)
