"""Building the Go programs in cluster/go into the cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster import tools
from cluster.cache import built, digest, digest_files, sweep
from cluster.say import step
from cluster.settings import KUBERNETES_VERSION, PACKAGE, Paths
from cluster.shell import run

if TYPE_CHECKING:
    from pathlib import Path

BUILD_FLAGS = ("-trimpath", "-buildvcs=false")

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")


@dataclass(frozen=True)
class Program:
    """A Go module of cluster/go and the package in it to build."""

    name: str
    package: str = "."
    ldflags: str = "-s -w"
    hint: str = ""

    @property
    def folder(self) -> Path:
        """The module's folder."""
        return PACKAGE / "go" / self.name

    def key(self) -> str:
        """Changes when a source, a pinned dependency or a flag does."""
        files = [file for file in self.folder.iterdir() if file.suffix in {".go", ".mod", ".sum"}]
        return digest(digest_files(files, self.folder), self.package, self.ldflags, *BUILD_FLAGS)


def _version_flags() -> str:
    # Without these the API server says v0.0.0-master, and clients refuse or guess.
    major, minor, _ = KUBERNETES_VERSION.split(".")
    at = "k8s.io/component-base/version"
    values = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor}
    return "-s -w " + " ".join(f"-X {at}.{name}={value}" for name, value in values.items())


CONTROLPLANE = Program("controlplane", ldflags=_version_flags(), hint=" (the first time: 4 to 10 minutes)")
COREDNS = Program("coredns", hint=" (the first time: a minute or two)")
VERSITYGW = Program(
    "versitygw", package="github.com/versity/versitygw/cmd/versitygw", hint=" (the first time: a minute)"
)
PAUSE = Program("pause")


def build(paths: Paths, program: Program) -> Path:
    """The built program, `<cache>/go/<name>-<key>`; built when it is missing."""
    target = paths.cache / "go" / f"{program.name}-{program.key()}"
    if target.exists():
        return target

    def compile_to(result: Path) -> None:
        # CGO off: a static program that runs in an image made of nothing else, and needs no C compiler here.
        env = {"CGO_ENABLED": "0", "GOFLAGS": os.environ.get("GOFLAGS", "")}
        command: list[str | Path] = [
            "nice",
            tools.go(paths),
            "build",
            *BUILD_FLAGS,
            "-ldflags",
            program.ldflags,
            "-o",
            result,
        ]
        run([*command, program.package], cwd=program.folder, env=env)

    with step(f"building {program.name}{program.hint}"):
        built(target, compile_to)
    sweep(target.parent, [target], f"{program.name}-*")
    return target


def link(paths: Paths, program: Path, names: tuple[str, ...]) -> None:
    """Put names for a built program into <cache>/bin."""
    paths.bin.mkdir(parents=True, exist_ok=True)
    for name in names:
        place = paths.bin / name
        if place.is_symlink() and place.readlink() == program:
            continue
        fresh = paths.bin / f".{name}.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(program)
        fresh.replace(place)


def build_cluster_programs(paths: Paths) -> None:
    """Everything that runs outside pods, in <cache>/bin."""
    link(paths, build(paths, CONTROLPLANE), ("controlplane", *COMPONENTS))
    link(paths, build(paths, COREDNS), ("coredns",))
