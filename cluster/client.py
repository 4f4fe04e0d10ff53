"""A few GETs: the components' health and the objects that `up` waits for."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from functools import cache
from http import HTTPStatus
from typing import Any

from cluster.settings import API_PORT, Paths

TIMEOUT_SECONDS = 3.0


def get(url: str, context: ssl.SSLContext | None = None) -> bytes | None:
    """The body of a 200; None for anything else."""
    # No proxy of the environment: all of this is on the loopback device.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context or unverified())
    )
    try:
        with opener.open(url, timeout=TIMEOUT_SECONDS) as answer:
            return bytes(answer.read()) if answer.status == HTTPStatus.OK else None
    except (OSError, urllib.error.URLError, ValueError):
        return None


@cache
def unverified() -> ssl.SSLContext:
    """For health endpoints with certificates that the component signed itself."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def admin(paths: Paths) -> ssl.SSLContext:
    """The administrator's TLS context."""
    context = ssl.create_default_context(cafile=str(paths.pki / "ca.crt"))
    context.load_cert_chain(paths.pki / "admin.crt", paths.pki / "admin.key")
    return context


def api_get(paths: Paths, path: str) -> dict[str, Any] | None:
    """An object of the API server by its path; None when it is missing or the server is away."""
    body = get(f"https://127.0.0.1:{API_PORT}{path}", admin(paths))
    if body is None:
        return None
    document = json.loads(body)
    return document if isinstance(document, dict) else None
