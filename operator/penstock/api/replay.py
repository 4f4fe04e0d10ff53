"""A replay as it was decided, and what a job's script and arguments are told of it. Pure."""

from datetime import UTC, datetime
from typing import Final

from penstock.api.base import Model, Time, format_time
from penstock.api.start_from import OnGap

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)


class Replay(Model):
    """Absolute times, the same for every run of the line that the replay began."""

    output_from: Time
    """From when on the output is wanted."""
    source_start: Time
    """From when on the sources are read: outputFrom without the look-back."""
    to: Time | None = None
    """Until when; missing: without end."""
    on_gap: OnGap = OnGap.REFUSE
    """What was said about sources that do not reach back so far. Default Refuse."""

    def __str__(self) -> str:
        """For people."""
        end = f" to {format_time(self.to)}" if self.to is not None else ""
        return f"replay from {format_time(self.output_from)}{end}"


def variables(replay: Replay | None = None) -> dict[str, str]:
    """The value of each `${penstock.…}` by its name, for a run of a replay's line; None: for any other run.

    The defaults are those of a start from the beginning whose whole output is wanted, so that one script serves both.
    """
    start = replay.source_start if replay is not None else EPOCH
    first = replay.output_from if replay is not None else EPOCH
    end = replay.to if replay is not None else None
    return {
        "penstock.source.startup-mode": "earliest-offset" if replay is None else "timestamp",
        "penstock.source.startup-timestamp-millis": _millis(start),
        "penstock.source.bounded-mode": "unbounded" if end is None else "timestamp",
        "penstock.source.bounded-timestamp-millis": _millis(end or EPOCH),
        "penstock.replay.output-from": _sql(first),
        "penstock.replay.output-from-millis": _millis(first),
        "penstock.replay.output-to": _sql(end or _LAST),
        "penstock.replay.output-to-millis": _millis(end or _LAST),
    }


def _millis(time: datetime) -> str:
    since = time - EPOCH
    return str((since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000)


def _sql(time: datetime) -> str:
    """As Flink SQL's `TIMESTAMP '…'` takes it, in UTC."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")


NAMES: Final = tuple(variables())
"""All that `${penstock.…}` can name, in the order of the user guide."""
