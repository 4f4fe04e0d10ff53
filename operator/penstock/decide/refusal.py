"""Why there is nothing to start from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Why there is nothing to start from, and what to do about it."""

    reason: str
    message: str
