"""The ways in which an effect goes wrong, and what an injected error looks like on each side."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from tests.crash.effects import Effect


class Way(StrEnum):
    """What happens at the effect."""

    BEFORE = "killed before"
    """SIGKILL; the request never arrives. The world stands still until the operator is back."""
    LOST = "killed after, answer lost"
    """It arrives, SIGKILL before the answer. The world moves on while the operator is dead."""
    GIVEN = "killed after, answer given"
    """It arrives and is answered; SIGKILL at the next request. The world stands still."""
    CONFLICT = "409"
    TOO_MANY = "429"
    INTERNAL = "500"
    TIMEOUT = "timeout"
    """It arrives and is never answered; the operator lives."""

    @property
    def kills(self) -> bool:
        """Whether the operator dies."""
        return self in KILLS

    @property
    def refuses(self) -> int:
        """The status that is answered instead of passing it on; 0: it is passed on."""
        return int(self) if self.value.isdigit() else 0


KILLS = (Way.BEFORE, Way.LOST, Way.GIVEN)
ERRORS = (Way.CONFLICT, Way.TOO_MANY, Way.INTERNAL, Way.TIMEOUT)


@dataclass(frozen=True)
class Nth:
    """An effect by its place among all of a run, from 0: for points that begin before the effects are known."""

    number: int

    def __str__(self) -> str:
        return f"effect {self.number}"


@dataclass(frozen=True)
class Fault:
    """One point: an effect and what happens at it."""

    effect: Effect | Nth
    way: Way

    def is_at(self, effect: Effect, number: int) -> bool:
        """Whether this effect is meant, the so many-th of its run."""
        return self.effect == (Nth(number) if isinstance(self.effect, Nth) else effect)

    def __str__(self) -> str:
        return f"{self.effect}, {self.way}"


_REASONS = {409: "Conflict", 429: "TooManyRequests", 500: "InternalError"}
_S3_CODES = {409: "OperationAborted", 429: "TooManyRequests", 500: "InternalError"}


def refusal(side: str, status: int) -> tuple[bytes, str]:
    """Body and content type of an injected error, as that side words its own."""
    if side == "kubernetes":
        told = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": _REASONS[status], "code": status}
        return json.dumps(told | {"message": "injected by the crash harness"}).encode(), "application/json"
    if side == "flink":
        return json.dumps({"errors": ["injected by the crash harness"]}).encode(), "application/json"
    told_xml = f"<Error><Code>{_S3_CODES[status]}</Code><Message>injected by the crash harness</Message></Error>"
    return f'<?xml version="1.0" encoding="UTF-8"?>{told_xml}'.encode(), "application/xml"
