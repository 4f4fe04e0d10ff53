"""Image archives: an OCI layout that is a Docker archive as well (as `docker save` writes since version 25).

With the OCI half the image's digest is known before it is imported, so that "is it there already?" is one comparison,
and layers that the container runtime has may be left out.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from cluster.images.layer import EPOCH, Layer

if TYPE_CHECKING:
    from collections.abc import Collection

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """An image: its name, its layers from the bottom up, and how it runs."""

    name: str
    layers: tuple[Layer, ...]
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    folder: str = "/"
    env: dict[str, str] = field(default_factory=dict)


def architecture() -> str:
    """This machine's architecture as images call it."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _descriptor(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}


def config(image: Image) -> bytes:
    """The image's configuration blob."""
    runs: dict[str, Any] = {"Env": [f"{name}={value}" for name, value in image.env.items()], "WorkingDir": image.folder}
    if image.entrypoint:
        runs["Entrypoint"] = list(image.entrypoint)
    if image.command:
        runs["Cmd"] = list(image.command)
    if image.user:
        runs["User"] = image.user
    return _json(
        {
            "architecture": architecture(),
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": runs,
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in image.layers]},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "penstock cluster"} for _ in image.layers],
        }
    )


def manifest(image: Image) -> bytes:
    """The image's manifest blob."""
    layers = [{"mediaType": LAYER_TYPE, "digest": layer.digest, "size": layer.size} for layer in image.layers]
    body = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": _descriptor(CONFIG_TYPE, config(image))}
    return _json({**body, "layers": layers})


def image_digest(image: Image) -> str:
    """The digest under which a container runtime lists the image."""
    return str(_descriptor(MANIFEST_TYPE, manifest(image))["digest"])


def _index(image: Image) -> bytes:
    entry = _descriptor(MANIFEST_TYPE, manifest(image))
    entry["platform"] = {"architecture": architecture(), "os": "linux"}
    tag = image.name.rsplit(":", 1)[1]
    entry["annotations"] = {"io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": tag}
    return _json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]})


def _blob(digest: str) -> str:
    return "blobs/sha256/" + digest.removeprefix("sha256:")


def _docker_manifest(image: Image) -> bytes:
    settings = _descriptor(CONFIG_TYPE, config(image))["digest"]
    layers = [_blob(layer.digest) for layer in image.layers]
    return _json([{"Config": _blob(settings), "RepoTags": [image.name], "Layers": layers}])


def write(image: Image, stream: IO[bytes], leave_out: Collection[str] = ()) -> None:
    """Write the archive to a stream, without the layers whose digests are in `leave_out`."""
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as tar:

        def add(name: str, size: int, content: IO[bytes]) -> None:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = size, EPOCH, 0o644
            tar.addfile(entry, content)

        settings, body = config(image), manifest(image)
        documents = {
            "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
            "index.json": _index(image),
            "manifest.json": _docker_manifest(image),
            _blob(_descriptor(CONFIG_TYPE, settings)["digest"]): settings,
            _blob(_descriptor(MANIFEST_TYPE, body)["digest"]): body,
        }
        for name, data in documents.items():
            add(name, len(data), io.BytesIO(data))
        for layer in {layer.digest: layer for layer in image.layers}.values():
            if layer.digest not in leave_out:
                with layer.path.open("rb") as file:
                    add(_blob(layer.digest), layer.size, file)
