"""What the operator only tells of a recovery: figures that the clock decides upon, and from which nothing is decided.

A look at a recovery comes each few seconds, and is written when something is new: two runs never look at the same
moments. A write with nothing else in it is no effect, as renewing the lease is none.
"""

from __future__ import annotations

import json
from typing import Any

from tests.crash.effects import Request

_FIELDS = ("recovery", "capacity", "capacities")
_CONDITION = "CaughtUp"
_EVENTS = ("Recovering", "Restarting", "RestoringState", "CatchingUp", "CaughtUp")


def without(status: dict[str, Any]) -> dict[str, Any]:
    """A status without what is only told, such as when Flink began the run."""
    found = {key: value for key, value in status.items() if key not in _FIELDS}
    if "conditions" in found:
        found["conditions"] = [each for each in found["conditions"] if each["type"] != _CONDITION]
    if isinstance(found.get("run"), dict):  # a Checkpoint's is a word
        found["run"] = {key: value for key, value in found["run"].items() if key != "attempt"}
        taken = found["run"].get("checkpointing") or {}
        if taken:
            found["run"]["checkpointing"] = {key: value for key, value in taken.items() if key != "beganMillis"}
    return found


class Telling:
    """Remembers the status that was written last of each StreamJob."""

    def __init__(self) -> None:
        self._last: dict[str, dict[str, Any]] = {}

    def is_all(self, request: Request) -> bool:
        """Whether a request tells of a recovery and does nothing else."""
        if request.method == "POST" and request.path.endswith("/events"):
            return json.loads(request.body)["reason"] in _EVENTS
        if request.method != "PUT" or "/streamjobs/" not in request.path or not request.path.endswith("/status"):
            return False
        status = without(json.loads(request.body)["status"])
        last, self._last[request.path] = self._last.get(request.path), status
        return status == last
