"""The cases of the rules of replays and sources; see `cases`."""

from __future__ import annotations

from typing import Any

from tests.integration.api.cases import TIME, Case, Change


def replay(**field: Any) -> Change:
    return {"startFrom": {"replay": {"from": "24h"} | field}}


def source(**field: Any) -> Change:
    return {"sources": [{"name": "events"} | field]}


KAFKA = {"connection": "main", "topics": ["events", "late-events"]}

CASES = (
    Case(
        "StreamJob",
        "spec.startFrom.replay.from is neither a time with a zone",
        accepted=tuple(
            replay(**{"from": since})
            for since in (
                TIME,
                "2026-01-31T12:00:00Z",
                "2026-01-31T12:00:00.123456789-11:30",
                "1970-01-01T00:00:00Z",
                "2026-02-30T12:00:00Z",  # read by the operator: Stalled, InvalidSpec
                "24h",
                "1h30m",
                "0s",
            )
        ),
        refused=tuple(
            replay(**{"from": since})
            for since in (
                "2026-01-31T12:00:00",
                "2026-01-31 12:00:00Z",
                "2026-01-31",
                "2026-13-01T12:00:00Z",
                "2026-01-31T24:00:00Z",
                "1969-12-31T23:59:59Z",
                "yesterday",
                "-24h",
                "1d",
                "24",
            )
        ),
    ),
    Case(
        "StreamJob",
        "spec.startFrom.replay.lookback is not a duration",
        accepted=(replay(lookback="1h"), replay(lookback="0s"), replay(lookback="500ms")),
        refused=(replay(lookback="an hour"), replay(lookback="-1h"), replay(lookback="1d")),
    ),
    Case(
        "StreamJob",
        "spec.startFrom.replay.state: KeepNonSource is not supported",
        accepted=(replay(state="Discard"), replay()),
        refused=(replay(state="KeepNonSource"),),
    ),
    Case(
        "StreamJob",
        "spec.window is not a duration",
        accepted=({"window": "1h"}, {"window": "168h"}),
        refused=({"window": "hour"}, {"window": "-1h"}, {"window": "7d"}),
    ),
    Case(
        "StreamJob",
        "spec.window must be at least 1s",
        accepted=({"window": "1s"},),
        refused=({"window": "0s"}, {"window": "999ms"}),
    ),
    Case(
        "StreamJob",
        "spec.sources[] needs exactly one of kafka",
        accepted=(source(kafka=KAFKA), source(generic={"retention": "168h"}), {"sources": []}),
        refused=(source(), source(kafka=KAFKA, generic={"retention": "168h"})),
    ),
    Case(
        "StreamJob",
        "spec.sources[].generic.retention is not a duration",
        accepted=(source(generic={"retention": "1h30m"}),),
        refused=(source(generic={"retention": "7d"}), source(generic={"retention": "for ever"})),
    ),
    Case(
        "StreamJob",
        "spec.sources[].generic.retention must be at least 1s",
        accepted=(source(generic={"retention": "1s"}),),
        refused=(source(generic={"retention": "0s"}), source(generic={"retention": "10ms"})),
    ),
)
