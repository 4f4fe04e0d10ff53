"""Jars from Maven Central, pinned by digest in jars.lock."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.cache import built
from cluster.say import step
from cluster.settings import PACKAGE, ClusterError, Paths

if TYPE_CHECKING:
    from pathlib import Path

# Maven's own default, here because stdlib Python has no Maven; MAVEN_REPOSITORY names a mirror.
CENTRAL = "https://repo.maven.apache.org/maven2"
LOCK = PACKAGE / "images" / "jars.lock"
TIMEOUT_SECONDS = 60
ATTEMPTS = 3


@dataclass(frozen=True)
class Jar:
    """One artifact, as jars.lock pins it."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """The jar's file name."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Where it lies in a Maven repository."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file}"


def parse(text: str) -> dict[str, list[Jar]]:
    """Set name -> jars. A line is `<set> <group>:<artifact>:<version> <sha256>`; # begins a comment."""
    sets: dict[str, list[Jar]] = {}
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        name, coordinates, sha256 = words
        group, artifact, version = coordinates.split(":")
        sets.setdefault(name, []).append(Jar(group, artifact, version, sha256))
    return sets


def pinned(name: str) -> list[Jar]:
    """The jars of one set."""
    return parse(LOCK.read_text())[name]


def _read(url: str) -> bytes:
    failure: Exception | None = None
    for _ in range(ATTEMPTS):
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - https, from the constant
                return bytes(answer.read())
        except (OSError, urllib.error.URLError) as error:
            failure = error
    raise ClusterError(f"{url} cannot be fetched: {failure}.")


def _fetch(paths: Paths, jar: Jar) -> Path:
    def download(target: Path) -> None:
        data = _read(f"{os.environ.get('MAVEN_REPOSITORY', CENTRAL)}/{jar.path}")
        found = hashlib.sha256(data).hexdigest()
        if found != jar.sha256:
            raise ClusterError(f"{jar.file} has the digest {found}, not the pinned {jar.sha256}: it is not used.")
        target.write_bytes(data)

    return built(paths.cache / "jars" / jar.sha256[:12] / jar.file, download)


def fetch(paths: Paths, name: str) -> list[Path]:
    """The jars of a set, from the cache or the repository."""
    with step(f"fetching the jars {name}", quiet_under=2), ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda jar: _fetch(paths, jar), pinned(name)))


def key(name: str) -> str:
    """Changes when a pinned jar of the set does."""
    return " ".join(f"{jar.file}={jar.sha256}" for jar in pinned(name))
