"""The one error vocabulary: every foreign error becomes one of these at the edge of its client.

Three questions are all that the loop asks of an error: may it be tried again later (`RetryLater`), is what was read too
old (`Stale`), or will it stay so until somebody changes something (`Refused`)?
"""

from __future__ import annotations


class PenstockError(Exception):
    """Base of all errors that Penstock raises on purpose; `str()` is a sentence for a person."""

    reason = "Error"


class RetryLater(PenstockError):  # noqa: N818 - named for what the caller does
    """Nobody knows (time-out, 5xx, 429, connection lost): the last known state stays, the pass is tried again."""

    reason = "Unknown"


class Stale(PenstockError):  # noqa: N818 - named for what the caller does
    """A write met a newer object (409): read again; the pass ends without harm."""

    reason = "Conflict"


class Refused(PenstockError):  # noqa: N818 - named for what the caller does
    """The other side understood and said no (4xx): trying the same again makes no sense before something changes."""

    def __init__(self, message: str, reason: str = "Refused", status: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
