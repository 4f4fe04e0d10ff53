"""Which images there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.images import flink, kafka, python_apps, runtime, static
from cluster.settings import ClusterError, Paths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cluster.images.archive import Image

RECIPES: dict[str, Callable[[Paths], Image]] = {
    "pause": static.pause,
    "versitygw": static.versitygw,
    "flink": flink.flink,
    "flink-demo": flink.flink_demo,
    "flink-next": flink.flink_next,
    "kafka": kafka.kafka,
    "operator": python_apps.operator,
    "demo": python_apps.demo,
}


def build(paths: Paths, names: Sequence[str]) -> list[Image]:
    """Build images by their short names; all of them when none is named."""
    unknown = sorted(set(names) - set(RECIPES))
    if unknown:
        raise ClusterError(f"There is no image {', '.join(unknown)}; there are {', '.join(RECIPES)}.")
    return [RECIPES[name](paths) for name in names or RECIPES]


def ensure(paths: Paths, names: Sequence[str]) -> list[str]:
    """Build images and import those which changed into containerd; return the names of those."""
    return runtime.ensure(paths, build(paths, names))
