"""Where images go: containerd of the built-in cluster, kind, or files for a cluster of the user's."""

from __future__ import annotations

import re
import subprocess
import tempfile
from typing import IO, TYPE_CHECKING, cast

from cluster.cache import built
from cluster.images import archive
from cluster.say import say, step
from cluster.settings import NAME, ClusterError, Paths
from cluster.shell import run, tail

if TYPE_CHECKING:
    from pathlib import Path

    from cluster.images.archive import Image

NAMESPACE = "k8s.io"


def _ctr(paths: Paths) -> list[str | Path]:
    return ["ctr", "--address", paths.socket, "--namespace", NAMESPACE]


def parse_images(listing: str) -> dict[str, str]:
    """Name -> digest out of `ctr images ls`."""
    found = {}
    for line in listing.splitlines()[1:]:
        name, _, digest, *_ = [*line.split(), "", "", ""]
        if digest:
            found[name] = digest
    return found


def present(paths: Paths) -> dict[str, str]:
    """The images that containerd has: name -> digest."""
    return parse_images(run([*_ctr(paths), "images", "ls"], timeout=30))


def import_image(paths: Paths, image: Image) -> None:
    """Stream an image into containerd; layers that it has already are not sent again."""
    known = set(run([*_ctr(paths), "content", "ls", "--quiet"], timeout=30).split())
    command = [str(word) for word in [*_ctr(paths), "images", "import", "-"]]
    # Its words go to a file: a pipe that nobody reads would fill, and both would wait for ever.
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT)
        stream = cast("IO[bytes]", child.stdin)
        broken: OSError | None = None
        try:
            archive.write(image, stream, known)
            stream.close()
        except OSError as error:  # a broken pipe: containerd's own words follow below
            broken = error
        code = child.wait()
        output.seek(0)
        if code != 0 or broken:
            raise ClusterError(f"containerd did not take {image.name}:\n{tail(output.read().decode(errors='replace'))}")


def ensure(paths: Paths, images: list[Image]) -> list[str]:
    """Import what containerd lacks or has in another version; return the names that changed."""
    there = present(paths)
    changed = []
    for image in images:
        if there.get(image.name) != archive.image_digest(image):
            with step(f"importing {image.name}"):
                import_image(paths, image)
            changed.append(image.name)
    return changed


def file_name(image: Image) -> str:
    """A file name for an image's archive, with its digest in it."""
    short = archive.image_digest(image).removeprefix("sha256:")[:12]
    return re.sub(r"[^a-zA-Z0-9.]+", "-", image.name) + f"-{short}.tar"


def save(image: Image, folder: Path) -> Path:
    """Write an image's archive into a folder, unless it is there."""

    def build(target: Path) -> None:
        with target.open("wb") as stream:
            archive.write(image, stream)

    return built(folder / file_name(image), build)


def load_into_kind(paths: Paths, images: list[Image]) -> None:
    """Load images into the kind cluster."""
    for image in images:
        with step(f"loading {image.name} into kind"):
            tar = save(image, paths.cache / "archives")
            run(["kind", "load", "image-archive", "--name", NAME, tar])


def save_all(images: list[Image], folder: Path) -> None:
    """Write archives for a cluster that is not ours and say where they are."""
    for image in images:
        say(f"  {image.name}: {save(image, folder)}")
