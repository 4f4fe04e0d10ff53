"""The newest checkpoint as of a time, asked for with the `penstock` command: between two, too early, in the future."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from test_behaviours import ENDLESS, stream_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.timeout(300)]

NAME = "historian"
INDIA = timezone(timedelta(hours=5, minutes=30))


@pytest.fixture(scope="module")
def historian(lab: Lab) -> Iterator[Lab]:
    """A job with the Checkpoints `early` and `late`, which are seconds apart.

    Flink's own are an hour apart: whatever else is complete as of a time would be the newest.
    """
    lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))  # the store alone
    # The interval alone would let the first one come at a random time within it.
    pause = {"execution.checkpointing.min-pause": "1 h"}
    kept = {"interval": "1h", "retention": {"numRetained": 9}}
    lab.create(stream_job(lab, NAME, ENDLESS, checkpoints=kept, configuration=pause))
    lab.until("the job runs", lambda: lab.runs(NAME))
    lab.penstock("checkpoint", NAME, "--name", "early", "--wait")
    passed = complete(lab, "early") + timedelta(seconds=3)
    lab.until("some seconds have passed", lambda: datetime.now(UTC) > passed)
    lab.penstock("checkpoint", NAME, "--name", "late", "--wait")
    yield lab
    lab.kubectl("delete", "streamjob", NAME, "--ignore-not-found", "--timeout=100s", seconds=110)


def complete(lab: Lab, name: str) -> datetime:
    return datetime.fromisoformat(lab.get("checkpoint", name)["status"]["completionTime"])


def text(time: datetime) -> str:
    return time.isoformat(timespec="seconds")


@pytest.mark.scenario("as of a time before the first checkpoint: refused, the job runs on", group="replay")
def test_before_the_first_one_there_is_nothing(historian: Lab) -> None:
    lab = historian
    run, first = lab.job(NAME)["run"]["id"], complete(lab, "early")
    said = lab.penstock("restore", NAME, "--as-of", text(first - timedelta(seconds=1)), "--wait", expect=1)
    assert "NothingAsOf: spec.startFrom.asOf.time" in said
    assert f"the first that there is was complete at {text(first).replace('+00:00', 'Z')}" in said
    assert lab.job(NAME)["run"]["id"] == run


@pytest.mark.scenario("as of a time in the future: refused, the job runs on", group="replay")
def test_a_time_that_has_not_come_is_refused(historian: Lab) -> None:
    lab = historian
    run = lab.job(NAME)["run"]["id"]
    said = lab.penstock("restore", NAME, "--as-of", text(datetime.now(UTC) + timedelta(hours=1)), "--wait", expect=1)
    assert "TimeInTheFuture: spec.startFrom.asOf.time" in said
    assert lab.job(NAME)["run"]["id"] == run
    assert "no time zone" in lab.penstock("restore", NAME, "--as-of", "2026-01-31T12:00:00", expect=2)


@pytest.mark.scenario(
    "as of a time between two checkpoints, written in another time zone: the earlier one", group="replay"
)
def test_between_two_the_earlier_one_is_started_from(historian: Lab) -> None:
    lab = historian
    between = complete(lab, "late") - timedelta(seconds=1)
    assert between > complete(lab, "early")
    lab.penstock("restore", NAME, "--as-of", text(between.astimezone(INDIA)), "--wait")
    began = lab.job(NAME)["startedFrom"]
    assert (began["kind"], began["checkpoint"], began["confirmed"]) == ("Checkpoint", "early", True)
    assert began["checkpointId"] == lab.get("checkpoint", "early")["status"]["checkpointId"]
