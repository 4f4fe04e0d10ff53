"""The job's sources that can be asked, and what their brokers have answered to the start that is decided. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from penstock.api.sources import JobSource
from penstock.decide import verification
from penstock.decide.refusal import Refusal
from penstock.model import Observed
from penstock.source.held import Held, SourceWish

_NAMED = 3
"""So many partitions are named; a topic may have hundreds."""


def wish_of(observed: Observed, source: JobSource) -> SourceWish | None:
    """What a start wants to know of a source; None for one that cannot be asked."""
    if source.kafka is None or observed.job is None:
        return None
    start = verification.this_start(observed)
    return SourceWish(observed.job.metadata.namespace, source.kafka.connection, tuple(source.kafka.topics), start)


def wishes_of(observed: Observed) -> tuple[SourceWish, ...]:
    """The same of all of the job's sources."""
    sources = observed.job.spec.sources if observed.job is not None else ()
    return tuple(wish for source in sources if (wish := wish_of(observed, source)) is not None)


def answers(observed: Observed) -> Iterator[tuple[JobSource, Held | None]]:
    """Each source that can be asked, with the answer that there is by now."""
    for source in observed.job.spec.sources if observed.job is not None else ():
        wish = wish_of(observed, source)
        if wish is not None:
            yield source, observed.held.get(wish)


def unusable(source: JobSource, held: Held | None, wanted: str) -> Refusal | str:
    """Why nothing can be said of a source, or what is waited for; empty when something can.

    Args:
        source: which one.
        held: what was answered.
        wanted: what is asked for, as "the replay would read".
    """
    field = field_of(source)
    if held is None:
        return f"{field}: the broker is asked whether it still holds what {wanted}"
    if held.problem:
        return Refusal("SourceNotUsable", f"{field}: {held.problem}")
    if held.measured is None:
        return f"{field}: nobody knows what the broker still holds: {held.trouble}"
    return ""


def unknown_topics(source: JobSource, names: Sequence[str]) -> Refusal:
    """The broker does not know topics."""
    field = field_of(source)
    return Refusal(
        "SourceNotUsable", f"{field}.topics: the broker does not know {', '.join(names)}; write topics that it has"
    )


def field_of(source: JobSource) -> str:
    """Where the user declares it."""
    return f"spec.sources[{source.name}].kafka"


def few(gaps: Sequence[str]) -> str:
    """The first of some sentences, each of a partition, and how many there are more."""
    more = f" and {len(gaps) - _NAMED} more partitions" if len(gaps) > _NAMED else ""
    return "; ".join(gaps[:_NAMED]) + more
