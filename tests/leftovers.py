"""Takes away what the lab of an end-to-end test has made, while the operator and the store can still do their part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LABS = "penstock-e2e"
"""What the names of the labs' namespaces begin with."""
_FREE = '{"spec":{"pinned":false,"deletionPolicy":"Retain"}}'


def remove(ask: Callable[..., str], namespace: str, **longer: Any) -> None:
    """Jobs first, then Checkpoints, then the rest.

    Args:
        ask: runs kubectl and answers its standard output.
        namespace: that of the lab, and the name of its store; it need not be there.
        longer: given to `ask` where it may take nearly two minutes.
    """
    if not ask("get", "namespace", namespace, "--ignore-not-found"):
        return
    for kind in ("streamjobs", "checkpoints"):
        for name in ask("-n", namespace, "get", kind, "-o", "name").split() if kind == "checkpoints" else ():
            ask("-n", namespace, "patch", name, "--type=merge", "-p", _FREE)
        ask("-n", namespace, "delete", kind, "--all", "--timeout=100s", **longer)
    ask("delete", "checkpointstore", namespace, "--ignore-not-found", "--timeout=40s")
    ask("delete", "namespace", namespace, "--timeout=100s", **longer)
