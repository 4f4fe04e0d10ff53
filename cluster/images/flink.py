"""The Flink images: the layout of the official one, made from PyPI's wheels and Maven Central's jars."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from cluster import tools
from cluster.cache import digest
from cluster.images import debian, jars
from cluster.images.archive import Image
from cluster.images.layer import Layer, copy, layer
from cluster.images.sharing import shared_classes
from cluster.say import step
from cluster.settings import FLINK_VERSION, PACKAGE, Paths
from cluster.shell import run

if TYPE_CHECKING:
    from pathlib import Path

HERE = PACKAGE / "images"
REQUIREMENTS = HERE / "flink-requirements.txt"
ENTRYPOINT = HERE / "flink-entrypoint.sh"
FLINK_UID = 9999
PARTS = ("bin", "conf", "lib", "opt", "plugins", "licenses", "examples")
RECIPE = "3"
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - it runs in pods


def edit_config(text: str) -> str:
    """Let a distribution's config.yaml listen on every address, and name the TaskManager by its own host.

    It listens on loopback; the official image edits it in the same way.
    """
    lines: list[str] = []
    section = ""
    for line in text.splitlines():
        if line and not line.startswith((" ", "#")):
            section = line.split(":")[0]
        everywhere = line.replace("localhost", EVERY_ADDRESS)
        match section, line.strip():
            case _, "bind-host: localhost":
                lines.append(everywhere)
            case "taskmanager", "host: localhost":
                continue
            case "rest", "address: localhost":
                lines += [everywhere, everywhere.replace("address:", "bind-address:")]
            case _:
                lines.append(line)
    return "\n".join(lines) + "\n"


def _install_wheels(paths: Paths, folder: Path) -> None:
    """Install the two wheels over each other: a whole distribution in <folder>/pyflink."""
    command: list[str | Path] = [tools.uv(paths), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--python-version", "3.11", "--only-binary", ":all:", "--link-mode", "copy"]
    with step("fetching Flink's wheels (330 MB)"):
        run([*command, "--target", folder, "-r", REQUIREMENTS], env={"VIRTUAL_ENV": ""})


def _distribution(paths: Paths) -> Layer:
    def fill(tree: Path) -> None:
        wheels = tree.parent / "wheels"  # beside the tree: on the same disk, and swept away with it
        _install_wheels(paths, wheels)
        home = tree / "opt" / "flink"
        home.mkdir(parents=True)
        for part in PARTS:
            if (wheels / "pyflink" / part).is_dir():
                (wheels / "pyflink" / part).rename(home / part)
        shutil.rmtree(wheels)
        for script in (home / "bin").iterdir():
            script.chmod(0o755)
        for jar in jars.fetch(paths, "flink-opt"):
            copy(tree, f"opt/flink/opt/{jar.name}", jar)
        config = home / "conf" / "config.yaml"
        config.write_text(edit_config(config.read_text()))
        (home / "log").mkdir()
        (home / "usrlib").mkdir()
        copy(tree, "docker-entrypoint.sh", ENTRYPOINT, 0o755)

    key = digest(RECIPE, REQUIREMENTS.read_bytes(), ENTRYPOINT.read_bytes(), jars.key("flink-opt"))
    return layer(paths, "flink", key, fill, _owner)


def _owner(name: str) -> tuple[int, int]:
    return (FLINK_UID, FLINK_UID) if name.startswith("opt/flink") else (0, 0)


def _image(name: str, layers: tuple[Layer, ...]) -> Image:
    return Image(
        name,
        layers,
        entrypoint=("/docker-entrypoint.sh",),
        command=("help",),
        user=f"{FLINK_UID}:{FLINK_UID}",
        folder="/opt/flink",
        env={
            "PATH": "/opt/flink/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "FLINK_HOME": "/opt/flink",
            "LANG": "C.UTF-8",
        },
    )


def flink(paths: Paths) -> Image:
    """Flink under the official image's name, so that manifests run unchanged where that one can be pulled."""
    return _image(f"docker.io/library/flink:{FLINK_VERSION}-java17", (debian.jre(paths), _distribution(paths)))


def flink_demo(paths: Paths) -> Image:
    """Flink with what the demo's SQL needs (S3 plugin, SqlDriver's jar, Kafka connector), its classes shared."""

    def fill(tree: Path) -> None:
        for jar in jars.fetch(paths, "demo-plugins"):
            # plugins/<artifact without "flink-" and version>/, as the documentation lays them.
            folder = jar.name.removeprefix("flink-").removesuffix(f"-{FLINK_VERSION}.jar")
            copy(tree, f"opt/flink/plugins/{folder}/{jar.name}", jar)
        for jar in jars.fetch(paths, "demo-lib"):
            copy(tree, f"opt/flink/lib/{jar.name}", jar)

    key = digest("1", jars.key("demo-plugins"), jars.key("demo-lib"))
    whole = (*flink(paths).layers, layer(paths, "flink-demo", key, fill, _owner))
    return _image(f"penstock.dev/flink-demo:{FLINK_VERSION}", (*whole, shared_classes(paths, whole, _owner)))


def flink_next(paths: Paths) -> Image:
    """The same under another name: what a job is moved to when the tests change its image."""
    return replace(flink_demo(paths), name=f"penstock.dev/flink-demo:{FLINK_VERSION}-next")
