"""An archive of loaded classes for a Flink image (class data sharing): its JVMs start with a sixth less of CPU.

A JVM takes it when it is told to, by `-XX:SharedArchiveFile=/opt/flink/classes.jsa`; one whose class path begins with
other jars ignores it. `classes/<version>.txt.xz` names the classes that JobManagers and TaskManagers in pods had
loaded; `python3 -m tests.classes` writes it anew. A class that is not in it is loaded as without.
"""

from __future__ import annotations

import lzma
import shutil
import tarfile
from typing import TYPE_CHECKING

from cluster import tools
from cluster.cache import digest
from cluster.images.layer import Layer, layer
from cluster.settings import FLINK_VERSION, PACKAGE, Paths
from cluster.shell import run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

ARCHIVE = "opt/flink/classes.jsa"
CLASSES = PACKAGE / "images" / "classes"
RECIPE = "1"


def class_path(jars: Sequence[str]) -> str:
    """The class path that Flink's own scripts make of the jars in lib/: sorted, flink-dist last."""
    last = [jar for jar in jars if jar.startswith("flink-dist-")]
    return ":".join(f"/opt/flink/lib/{jar}" for jar in [*sorted(set(jars).difference(last)), *last])


def shared_classes(paths: Paths, below: Sequence[Layer], owner: Callable[[str], tuple[int, int] | None]) -> Layer:
    """The layer with the archive for the Java and the jars of the layers below it."""
    names = CLASSES / f"{FLINK_VERSION}.txt.xz"
    key = digest(RECIPE, names.read_bytes(), *(each.digest for each in below))

    def fill(tree: Path) -> None:
        tools.need_root()
        root = tree.parent / "root"
        for each in below:
            with tarfile.open(each.path) as tar:
                tar.extractall(root, filter="fully_trusted")  # noqa: S202 - layers that we have made
        (root / "classes.txt").write_bytes(lzma.decompress(names.read_bytes()))
        # Without /proc a program does not know where it lies, and finds its libraries by this alone.
        home = next((root / "usr/lib/jvm").glob("java-*/bin/java")).parents[1]
        inside = "/" + str(home.relative_to(root))
        command: list[str | Path] = ["nice", "chroot", root, f"{inside}/bin/java", "-Xshare:dump"]
        command += ["-XX:SharedClassListFile=/classes.txt", f"-XX:SharedArchiveFile=/{ARCHIVE}"]
        command += ["-cp", class_path([jar.name for jar in (root / "opt/flink/lib").glob("*.jar")])]
        run(command, env={"LD_LIBRARY_PATH": f"{inside}/lib"})
        made = tree / ARCHIVE
        made.parent.mkdir(parents=True)
        (root / ARCHIVE).rename(made)
        made.chmod(0o644)
        shutil.rmtree(root)

    return layer(paths, "flink-classes", key, fill, owner)
