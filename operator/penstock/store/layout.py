"""The one place for paths in the store. Pure.

`<prefix>/<namespace>/<job>-<job uid>/{checkpoints/<run>/, savepoints/<checkpoint uid>/, ha/<run>/, tombstones/}`

Paths are built from what the API server assigned. A location that comes from a status or from Flink is only believed
when it lies where this module would have put it: status is not trusted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NOTE = "penstock.json"
METADATA = "_metadata"
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_DIRECTORY = re.compile(rf"(?P<job>[a-z0-9]([-a-z0-9]*[a-z0-9])?)-(?P<uid>{_UUID})")


@dataclass(frozen=True)
class Place:
    """A bucket and a prefix in it: one store."""

    bucket: str
    prefix: str = ""

    def key(self, *parts: str) -> str:
        """A key below the prefix."""
        return "/".join(part for part in (self.prefix, *parts) if part)

    def uri(self, key: str) -> str:
        """The `s3://` form of a key."""
        return f"s3://{self.bucket}/{key}"

    def key_of(self, uri: str) -> str | None:
        """The key of an `s3://` location of this bucket, else None. Flink writes `s3://bucket/key`."""
        head = f"s3://{self.bucket}/"
        return uri[len(head) :].rstrip("/") if uri.startswith(head) else None

    def mark(self) -> str:
        """Key of the mark that says whose store this is."""
        return self.key(NOTE)

    def namespace(self, namespace: str) -> str:
        """Key prefix of a namespace, with the slash."""
        return self.key(namespace) + "/"

    def job(self, namespace: str, job: str, uid: str) -> str:
        """Key prefix of a job's directory, with the slash."""
        return self.key(namespace, f"{job}-{uid}") + "/"

    def checkpoints(self, namespace: str, job: str, uid: str) -> str:
        """Where Flink writes the retained checkpoints; Flink itself adds `<run>/chk-N`."""
        return self.job(namespace, job, uid) + "checkpoints/"

    def retained(self, namespace: str, job: str, uid: str, run: str, number: int) -> str:
        """Directory of one of Flink's own checkpoints, with the slash."""
        return f"{self.checkpoints(namespace, job, uid)}{run}/chk-{number}/"

    def savepoint(self, namespace: str, job: str, uid: str, checkpoint_uid: str) -> str:
        """Target directory of one Checkpoint, with the slash."""
        return self.job(namespace, job, uid) + f"savepoints/{checkpoint_uid}/"

    def high_availability(self, namespace: str, job: str, uid: str, run: str) -> str:
        """Flink's HA directory of one run, with the slash."""
        return self.job(namespace, job, uid) + f"ha/{run}/"

    def tombstone(self, directory: str, checkpoint_uid: str) -> str:
        """Key of the tombstone of a deletion, given the job's directory (with the slash)."""
        return f"{directory}tombstones/{checkpoint_uid}.json"

    def directory_of(self, key: str, namespace: str, job: str) -> str | None:
        """The job directory that a key lies in when it is one of this namespace and job name (of any uid), else None.

        With the slash at the end. `..` and empty parts are refused: an object store takes them literally, other
        programs that read the same path may not.
        """
        head = self.namespace(namespace)
        if not key.startswith(head):
            return None
        parts = key[len(head) :].split("/")
        if any(part in ("", ".", "..") for part in parts[:-1]) or parts[-1] in (".", ".."):
            return None
        match = _DIRECTORY.fullmatch(parts[0])
        if match is None or match["job"] != job or len(parts) == 1:
            return None
        return head + parts[0] + "/"

    def savepoint_of(self, key: str, namespace: str, job: str) -> str | None:
        """The target directory `savepoints/<uid>/` that a key lies in, of this namespace and job name, else None."""
        directory = self.directory_of(key, namespace, job)
        if directory is None:
            return None
        match = re.match(rf"savepoints/{_UUID}/", key[len(directory) :])
        return directory + match[0] if match else None

    def retained_of(self, key: str, namespace: str, job: str) -> str | None:
        """The directory `checkpoints/<run>/chk-N/` that a key lies in, of this namespace and job name, else None."""
        directory = self.directory_of(key, namespace, job)
        if directory is None:
            return None
        match = re.match(r"checkpoints/[0-9a-f]{32}/chk-[0-9]+/", key[len(directory) :])
        return directory + match[0] if match else None

    def home_of(self, key: str) -> str | None:
        """The job directory that a key lies in, of whatever namespace and job; None when it lies in none."""
        head = f"{self.prefix}/" if self.prefix else ""
        parts = key.removeprefix(head).split("/", 2)
        if not key.startswith(head) or len(parts) < 3:  # noqa: PLR2004 - namespace, job and what lies in it
            return None
        owner = job_of_directory(parts[1])
        return self.directory_of(key, parts[0], owner[0]) if owner else None


def job_of_directory(name: str) -> tuple[str, str] | None:
    """Job name and uid of a directory's name `<job>-<uid>`, else None."""
    match = _DIRECTORY.fullmatch(name)
    return (match["job"], match["uid"]) if match else None
