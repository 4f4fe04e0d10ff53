"""Images that hold one static program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster import gobuild
from cluster.cache import digest
from cluster.configs import PAUSE_IMAGE
from cluster.images.archive import Image
from cluster.images.layer import Layer, copy, layer
from cluster.settings import VERSITYGW_VERSION, Paths

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = "65532:65532"


def _program(paths: Paths, program: gobuild.Program, place: str) -> Layer:
    binary = gobuild.build(paths, program)

    def fill(tree: Path) -> None:
        copy(tree, place, binary, 0o755)

    return layer(paths, program.name, digest(binary.name, place, "1"), fill)


def pause(paths: Paths) -> Image:
    """What holds a pod's namespaces open."""
    return Image(PAUSE_IMAGE, (_program(paths, gobuild.PAUSE, "pause"),), ("/pause",), user=NOBODY)


def versitygw(paths: Paths) -> Image:
    """An S3 server: `posix DIR` with ROOT_ACCESS_KEY and ROOT_SECRET_KEY."""
    name = f"penstock.dev/versitygw:{VERSITYGW_VERSION}"
    return Image(
        name,
        (_program(paths, gobuild.VERSITYGW, "versitygw"),),
        ("/versitygw",),
        ("--help",),
        NOBODY,
        env={"PATH": "/"},
    )
