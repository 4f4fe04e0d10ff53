"""What an effect is: a request that changes something outside, named by verb and object without what is random."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_HEX = r"[0-9a-f]{32}|[0-9a-f]{12}|[0-9a-f]{8}|[0-9a-f]{6}-[0-9a-f]{12}"
_RANDOM = re.compile(rf"(?:(?<![0-9a-z])|(?<=Plan))(?:{_UUID}|{_HEX})(?![0-9a-z])")
_FIRST_KEY = re.compile(rb"<Key>([^<]*)</Key>")
_READS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Effect:
    """One effect of a run: the n-th of its name."""

    name: str
    ordinal: int

    def __str__(self) -> str:
        return f"{self.name} #{self.ordinal}"


@dataclass(frozen=True)
class Request:
    """A request of the operator, as the choke point sees it."""

    method: str
    target: str
    """Path and query, as they came."""
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(urlsplit(self.target).path)

    @property
    def side(self) -> str:
        """Whom it goes to: kubernetes, flink or s3."""
        if self.path.startswith(("/api/", "/apis/")) or self.path in ("/api", "/apis", "/version"):
            return "kubernetes"
        return "flink" if self.path.startswith("/flink/") else "s3"

    @property
    def is_lease(self) -> bool:
        """Renewing the lease goes by the clock and not by what the operator does: it is no effect."""
        return "/leases" in self.path


def name_of(request: Request, namespace: str) -> str | None:
    """The effect that a request is, or None when it changes nothing (or only the lease)."""
    if request.method in _READS or request.is_lease:
        return None
    named = {"kubernetes": _kubernetes, "flink": _flink, "s3": _s3}[request.side](request)
    return _RANDOM.sub("*", named).replace(namespace, "NS")


def _kubernetes(request: Request) -> str:
    parts = request.path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if len(parts) > 2 and parts[0] == "namespaces":
        parts = parts[2:]
    verb = request.method
    if verb == "PATCH":
        verb = "APPLY" if "apply" in request.headers.get("Content-Type", "") else "PATCH"
    if verb == "POST":
        made = json.loads(request.body)
        # The name of an event is the time of day: its reason says which one it is.
        parts.append(str(made["reason"]) if parts[-1] == "events" else str(made["metadata"]["name"]))
    return f"{verb} {'/'.join(parts)}"


def _flink(request: Request) -> str:
    return f"{request.method} flink {request.path.split('/jobs/')[-1].partition('/')[2] or 'cancel'}"


def _s3(request: Request) -> str:
    key = request.path.strip("/").partition("/")[2]
    if request.method == "POST" and "delete" in parse_qs(urlsplit(request.target).query, keep_blank_values=True):
        keys = _FIRST_KEY.findall(request.body)
        return f"DELETE s3 {len(keys)} keys, first {keys[0].decode() if keys else ''}"
    return f"{request.method} s3 {key}"
