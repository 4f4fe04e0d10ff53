"""The operator's one Java program, compiled by Eclipse's compiler: no image and no machine needs a JDK for it."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from typing import TYPE_CHECKING

from cluster import tools
from cluster.cache import built, digest, digest_files
from cluster.images import debian, jars
from cluster.say import step
from cluster.settings import REPOSITORY, ClusterError, Paths
from cluster.shell import run

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = REPOSITORY / "operator" / "java"
JAR = "penstock-preflight.jar"
RECIPE = "1"
RELEASE = "11"
"""The oldest Java of Flink's images; ours have 17."""
EPOCH = (2026, 1, 1, 0, 0, 0)


def preflight(paths: Paths) -> Path:
    """The jar, from the cache or compiled."""
    sources = digest_files(SOURCES.rglob("*.java"), SOURCES)
    key = digest(RECIPE, sources, jars.key("java"), jars.key("java-compiler"), debian.jre(paths).digest)
    return built(paths.cache / "java" / key / JAR, lambda target: _compile(paths, target))


def _compile(paths: Paths, target: Path) -> None:
    """Compile in the JRE's own root: its programs find their parts there alone, whatever this machine has."""
    tools.need_root()
    root = target.parent / "root"
    libraries, (compiler,) = jars.fetch(paths, "java"), jars.fetch(paths, "java-compiler")
    with step("compiling the operator's Java"):
        with tarfile.open(debian.jre(paths).path) as tar:
            tar.extractall(root, filter="fully_trusted")  # noqa: S202 - the layer that we have made
        work = root / "work"
        shutil.copytree(SOURCES, work / "src")
        for jar in [compiler, *libraries]:
            shutil.copy(jar, work / jar.name)
        # Without /proc a program does not know where it lies, and finds its libraries by this alone.
        home = next((root / "usr/lib/jvm").glob("java-*/bin/java")).parents[1]
        inside = "/" + str(home.relative_to(root))
        command = ["nice", "chroot", str(root), f"{inside}/bin/java", "-jar", f"/work/{compiler.name}"]
        command += ["-source", RELEASE, "-target", RELEASE, "-proc:none", "-nowarn", "-d", "/work/out"]
        command += ["-classpath", ":".join(f"/work/{jar.name}" for jar in libraries), "/work/src"]
        run(command, env={"LD_LIBRARY_PATH": f"{inside}/lib"})
    classes = sorted((work / "out").rglob("*.class"))
    if not classes:
        raise ClusterError(f"The Java compiler has made nothing of {SOURCES}.")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in classes:
            archive.writestr(zipfile.ZipInfo(str(file.relative_to(work / "out")), EPOCH), file.read_bytes())
