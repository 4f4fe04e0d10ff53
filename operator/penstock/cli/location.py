"""Where a checkpoint is, as a user writes it. Pure but for a look at whether a local path is a directory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from penstock.store.layout import METADATA

_S3 = re.compile(r"(?P<scheme>s3[ap]?)://(?P<bucket>[^/]+)(?:/(?P<key>.*))?", re.DOTALL)
_OTHER_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True)
class Location:
    """A `_metadata` file."""

    directory: str
    """The checkpoint's directory in Flink's spelling."""
    bucket: str | None
    """None: the file is on this machine."""
    path: str
    """Of the `_metadata` file: the key in the bucket, or the path on this machine."""

    @property
    def uri(self) -> str:
        """The `_metadata` file in Flink's spelling."""
        return f"{self.directory}/{self.path.rpartition('/')[2]}"


def parse(text: str) -> Location:
    """Read `s3://bucket/key` (also s3a and s3p), `file:/path` or a path, of a checkpoint or of its `_metadata` file.

    Raises:
        ValueError: with a sentence, when it is another scheme.
    """
    match = _S3.fullmatch(text)
    if match:
        folder = (match["key"] or "").strip("/").removesuffix(METADATA).rstrip("/")
        root = f"{match['scheme']}://{match['bucket']}"
        return Location(
            f"{root}/{folder}" if folder else root, match["bucket"], f"{folder}/{METADATA}" if folder else METADATA
        )
    local = re.sub(r"^file:(//)?(?=/)", "", text)
    other = _OTHER_SCHEME.match(local)
    if other:
        msg = f"{other['scheme']}:// is not read: LOCATION is an s3:// URI or a path on this machine"
        raise ValueError(msg)
    path = Path(local).absolute()
    if path.is_dir():
        path /= METADATA
    return Location(f"file:{path.parent}", None, str(path))
