"""Compares what the job wrote with what it must have written."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from demo.oracle import Key, Window

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from demo.topic import Record

_EXAMPLES: Final = 5


class Appearance(NamedTuple):
    """One time that a window was written."""

    partition: int
    offset: int
    window: Window


@dataclass(frozen=True)
class Report:
    """The output topic beside the oracle."""

    expected: Mapping[Key, Window]
    """What the oracle says."""
    appearances: Mapping[Key, tuple[Appearance, ...]]
    """Every window that was written, each time, in the order of reading (offset order within a partition)."""

    @property
    def windows_total(self) -> int:
        """How many windows the oracle expects."""
        return len(self.expected)

    @property
    def records(self) -> int:
        """How many committed records the topic holds."""
        return sum(len(times) for times in self.appearances.values())

    @property
    def missing(self) -> list[Key]:
        """Expected windows that were never written."""
        return sorted(self.expected.keys() - self.appearances.keys())

    @property
    def extra(self) -> list[Key]:
        """Windows that were written and are not expected."""
        return sorted(self.appearances.keys() - self.expected.keys())

    @property
    def different(self) -> list[Key]:
        """Expected windows of which some appearance differs from the oracle."""
        return sorted(
            key
            for key, times in self.appearances.items()
            if key in self.expected and any(time.window != self.expected[key] for time in times)
        )

    @property
    def repeated(self) -> list[Key]:
        """Windows that were written more than once, with whatever values."""
        return sorted(key for key, times in self.appearances.items() if len(times) > 1)

    @property
    def times(self) -> Mapping[int, int]:
        """How many expected windows appeared how many times: {1: 19486} when all is well."""
        return dict(sorted(Counter(len(self.appearances.get(key, ())) for key in self.expected).items()))

    @property
    def complete(self) -> bool:
        """Every window is there with the right figures, and nothing else; some may be there more than once."""
        return not (self.missing or self.extra or self.different)

    @property
    def exactly_once(self) -> bool:
        """Complete, and no window is there twice."""
        return self.complete and not self.repeated

    def repeats_only(self, keys: Collection[Key], times: int = 2) -> bool:
        """Whether these windows appeared `times` times, all others once, all with equal values.

        That is how the topic must look after a restore from an older checkpoint, when `keys` are the windows that the
        job closed after it. (The output topic keeps what was committed: going back in state cannot take it back.)
        """
        again = set(keys)
        return self.complete and all(
            len(seen) == (times if key in again else 1) for key, seen in self.appearances.items()
        )

    def describe(self) -> str:
        """The report in lines for a person."""
        faults = {word: getattr(self, word) for word in ("missing", "different", "extra", "repeated")}
        lines = [
            f"windows expected {self.windows_total:,}, written {len(self.appearances):,} in {self.records:,} records",
            ", ".join(f"{word} {len(keys):,}" for word, keys in faults.items()) + f"; appearances {self.times}",
        ]
        for word in ("missing", "different", "extra"):
            lines += [f"  {word}: {self._example(key)}" for key in faults[word][:_EXAMPLES]]
        return "\n".join(lines)

    def _example(self, key: Key) -> str:
        when = datetime.fromtimestamp(key.hour / 1000, UTC)
        seen = [(time.partition, time.offset, time.window) for time in self.appearances.get(key, ())]
        return f"{key.origin} {when:%Y-%m-%dT%H:%MZ}: expected {self.expected.get(key)}, seen {seen}"


def compare(expected: Mapping[Key, Window], records: Iterable[Record]) -> Report:
    """Sorts a topic's records by window."""
    appearances: dict[Key, list[Appearance]] = {}
    for record in records:
        key, window = parse(record.value)
        appearances.setdefault(key, []).append(Appearance(record.partition, record.offset, window))
    return Report(expected, {key: tuple(times) for key, times in appearances.items()})


def parse(value: bytes) -> tuple[Key, Window]:
    """One record of the job, as flights.sql writes it."""
    row = json.loads(value)
    start = datetime.strptime(row["window_start"], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    window = Window(row["flights"], row["departures"], row["delay_sum"], row["delay_mean"])
    return Key(int(start.timestamp()) * 1000, row["origin"]), window
