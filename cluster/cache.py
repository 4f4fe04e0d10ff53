"""Things built once and kept, so that a killed build is never taken for a finished one."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import mounts
from cluster.settings import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


WORKSPACE = ".building-"
KILLED_AFTER_SECONDS = 6 * 3600


def digest(*parts: str | bytes) -> str:
    """A short key over texts; a length stands before each, so that ("ab", "c") is not ("a", "bc")."""
    hashed = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        hashed.update(f"{len(data)}:".encode())
        hashed.update(data)
    return hashed.hexdigest()[:20]


def digest_files(files: Iterable[Path], root: Path) -> str:
    """A key over the names and contents of files below `root`."""
    parts: list[str | bytes] = []
    for file in sorted(files):
        parts += [str(file.relative_to(root)), file.read_bytes()]
    return digest(*parts)


def write_atomic(path: Path, data: str | bytes, mode: int = 0o644) -> None:
    """Replace a file as a whole: a reader sees the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = data.encode() if isinstance(data, str) else data
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def built(target: Path, build: Callable[[Path], None]) -> Path:
    """Return `target`, after `build(temporary path)` made it when it was missing.

    The temporary path lies beside the target and is renamed last. `target`'s name must carry the key of its inputs.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    _discard_killed(target.parent)
    workspace = Path(tempfile.mkdtemp(dir=target.parent, prefix=f"{WORKSPACE}{target.name}-"))
    try:
        result = workspace / target.name
        build(result)
        if target.exists():  # another process was quicker
            return target
        result.replace(target)
    finally:
        discard(workspace)
    return target


def discard(folder: Path) -> None:
    """Delete a folder, but nothing that is mounted in it (a killed debootstrap leaves /proc and /sys)."""
    mounts.remove(folder.resolve())
    if not mounts.below(folder.resolve()):
        shutil.rmtree(folder, ignore_errors=True)


def _discard_killed(folder: Path) -> None:
    # By age: a younger one may be another process' that is at work.
    for workspace in folder.glob(f"{WORKSPACE}*"):
        if time.time() - workspace.stat().st_mtime > KILLED_AFTER_SECONDS:
            discard(workspace)


def sweep(folder: Path, keep: Iterable[Path], pattern: str) -> None:
    """Remove what matches `pattern` in a folder of the cache, but for `keep`: old builds and killed ones."""
    kept = {path.name for path in keep}
    for path in folder.glob(pattern):
        if path.name in kept:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold a file lock: two `up` at a time would each clean up the other's cluster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ClusterError(f"Another `{what}` is at work (lock {path}): wait until it has ended.") from error
        yield
