"""An archive of loaded classes for a Flink image (class data sharing): its JVMs start with a quarter less of CPU.

A JVM takes it when it is told to, by `-XX:SharedArchiveFile=/opt/flink/classes.jsa`; one whose class path begins with
other jars ignores it. `classes/<version>.txt.xz` names the classes that JobManagers and TaskManagers in pods had
loaded, those of Flink's planner and plugins, which have loaders of their own, with the jar that they are from;
`python3 -m tests.classes` writes it anew. A class that is not in it is loaded as without.
"""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zipfile
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
SCRIPTS_ARCHIVE = "opt/flink/scripts.jsa"
"""The same for what Flink's shell scripts start, twice before each process: it has another class path."""
CLASSES = PACKAGE / "images" / "classes"
PLANNER = "/flink-table-planner.jar"
"""Where the list has the planner's classes from: Flink unpacks it from another jar when it starts."""
RECIPE = "3"


def class_path(jars: Sequence[str]) -> str:
    """The class path that Flink's own scripts make of the jars in lib/: sorted, flink-dist last."""
    last = [jar for jar in jars if jar.startswith("flink-dist-")]
    return ":".join(f"/opt/flink/lib/{jar}" for jar in [*sorted(set(jars).difference(last)), *last])


def _from_list(path: str) -> str:
    return f"-Xshare:dump -XX:SharedClassListFile=/classes.txt -XX:SharedArchiveFile=/{ARCHIVE} -cp {path}"


def _from_a_run(path: str) -> str:
    """What the scripts start once; on its way out Java makes an archive of what was loaded."""
    dist = path.rpartition(":")[2]
    return (
        f"-XX:ArchiveClassesAtExit=/{SCRIPTS_ARCHIVE} -XX:+UseSerialGC -cp /opt/flink/bin/bash-java-utils.jar:{dist}"
        " org.apache.flink.runtime.util.bash.BashJavaUtils GET_TM_RESOURCE_PARAMS --configDir /opt/flink/conf"
    )


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
        with zipfile.ZipFile(next((root / "opt/flink/lib").glob("flink-table-planner-loader-*.jar"))) as jar:
            jar.extract(PLANNER[1:], root)
        # Without /proc a program does not know where it lies, and finds its libraries by this alone.
        home = next((root / "usr/lib/jvm").glob("java-*/bin/java")).parents[1]
        inside = "/" + str(home.relative_to(root))
        path = class_path([jar.name for jar in (root / "opt/flink/lib").glob("*.jar")])
        for archive, arguments in ((ARCHIVE, _from_list(path)), (SCRIPTS_ARCHIVE, _from_a_run(path))):
            java = f"{inside}/bin/java"
            run(["nice", "chroot", root, java, *arguments.split()], env={"LD_LIBRARY_PATH": f"{inside}/lib"})
            made = tree / archive
            made.parent.mkdir(parents=True, exist_ok=True)
            (root / archive).rename(made)
            made.chmod(0o644)
        shutil.rmtree(root)

    return layer(paths, "flink-classes", key, fill, owner)
