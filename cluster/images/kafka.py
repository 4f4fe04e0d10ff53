"""Kafka as one KRaft node, made from Maven Central's jars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.cache import digest
from cluster.images import debian, jars
from cluster.images.archive import Image
from cluster.images.layer import copy, layer
from cluster.settings import KAFKA_VERSION, PACKAGE, Paths

if TYPE_CHECKING:
    from pathlib import Path

HERE = PACKAGE / "images"
ENTRYPOINT = HERE / "kafka-entrypoint.sh"
LOGGING = HERE / "kafka-log4j2.yaml"


def kafka(paths: Paths) -> Image:
    """One broker that is its own controller; see kafka-entrypoint.sh for its settings."""

    def fill(tree: Path) -> None:
        for jar in jars.fetch(paths, "kafka"):
            copy(tree, f"opt/kafka/libs/{jar.name}", jar)
        copy(tree, "opt/kafka/log4j2.yaml", LOGGING)
        copy(tree, "kafka-entrypoint.sh", ENTRYPOINT, 0o755)
        data = tree / "var/lib/kafka"
        data.mkdir(parents=True)

    def owner(name: str) -> tuple[int, int]:
        return (65532, 65532) if name == "var/lib/kafka" else (0, 0)

    key = digest("1", jars.key("kafka"), ENTRYPOINT.read_bytes(), LOGGING.read_bytes())
    return Image(
        f"penstock.dev/kafka:{KAFKA_VERSION}",
        (debian.jre(paths), layer(paths, "kafka", key, fill, owner)),
        entrypoint=("/kafka-entrypoint.sh",),
        user="65532:65532",
        folder="/opt/kafka",
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
    )
