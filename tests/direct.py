"""Objects of the test cluster, asked for without a process for each question: one of kubectl's costs 0.1 s of CPU.

What a test waits for it asks for twice a second. What a user types is typed: that goes through kubectl.
"""

from __future__ import annotations

import json
from typing import Any

from kubernetes import config

from penstock.kube.resources import ALL, Resource

_BY_WORD = {word: each for each in ALL for word in (each.plural, each.kind.lower())}
_SECONDS = (5, 20)
"""To connect, and to answer."""


def resource(word: str) -> Resource:
    """The kind that a word of kubectl's means: `pods`, `pod`."""
    return _BY_WORD[word]


class Direct:
    """The API server, over connections that stay open."""

    def __init__(self, kubeconfig: str) -> None:
        self._client = config.new_client_from_config(config_file=kubeconfig)

    def get(self, word: str, namespace: str, name: str) -> dict[str, Any]:
        """An object, {} when there is none."""
        return self._ask(resource(word).path(namespace, name), {}) or {}

    def items(self, words: str, namespace: str, *, labels: str = "", fields: str = "") -> list[dict[str, Any]]:
        """The objects of a kind, or of several with commas between them; each says what it is."""
        query = {name: text for name, text in (("labelSelector", labels), ("fieldSelector", fields)) if text}
        found: list[dict[str, Any]] = []
        for word in words.split(","):
            kind = resource(word)
            known = {"apiVersion": kind.api_version, "kind": kind.kind}
            found += [known | item for item in (self._ask(kind.path(namespace), query) or {})["items"]]
        return found

    def _ask(self, path: str, query: dict[str, str]) -> dict[str, Any] | None:
        """The answer; None when there is no such thing."""
        asked = self._client.param_serialize(
            "GET", path, query_params=list(query.items()), auth_settings=["BearerToken"]
        )
        answer = self._client.call_api(*asked, _request_timeout=_SECONDS)
        text = answer.read()
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise AssertionError(f"GET {path}: {answer.status} {text.decode()[:500]}")
        return dict(json.loads(text))

    def close(self) -> None:
        """End the connections."""
        self._client.close()
