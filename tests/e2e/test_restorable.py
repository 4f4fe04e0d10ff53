"""What is there to restore: verified Checkpoints, a missing file, state from elsewhere, the newest as of a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from test_behaviours import ENDLESS, stream_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.timeout(300)]

IN_FILES = {"execution.checkpointing.data-inline-threshold": "1 b"}
"""So that the few bytes of state lie in files of their own, and not within `_metadata`."""
RARELY = {"execution.checkpointing.min-pause": "1 h"}
"""The interval alone would let Flink's first checkpoint come at a random time within it: it would be the newest."""
BUCKET = "penstock"
INDIA = timezone(timedelta(hours=5, minutes=30))


def job(lab: Lab, name: str, **spec: Any) -> dict[str, Any]:
    kept = {"interval": "1h", "retention": {"numRetained": 9}}
    return stream_job(lab, name, ENDLESS, checkpoints=kept, configuration=IN_FILES | RARELY, **spec)


def checkpoint(name: str, of: str = "whole", **spec: Any) -> dict[str, Any]:
    meta = {"name": name}
    spec = {"jobRef": {"name": of}, **spec}
    return {"apiVersion": "penstock.dev/v1alpha1", "kind": "Checkpoint", "metadata": meta, "spec": spec}


def status(lab: Lab, name: str) -> dict[str, Any]:
    return dict(lab.get("checkpoint", name).get("status") or {})


def verified(lab: Lab, name: str) -> tuple[str | None, str | None]:
    found = lab.condition("checkpoint", name, "Verified")
    return found.get("status"), found.get("reason")


def directory(lab: Lab, name: str) -> str:
    """Key prefix of a Checkpoint's data, with the slash."""
    return str(status(lab, name)["location"]).removeprefix(f"s3://{BUCKET}/") + "/"


def complete(lab: Lab, name: str) -> datetime:
    return datetime.fromisoformat(status(lab, name)["completionTime"])


def text(time: datetime) -> str:
    return time.isoformat(timespec="seconds")


@pytest.fixture(scope="module")
def running(lab: Lab) -> Iterator[Lab]:
    """The job, with the Checkpoints `good` and `broken`, both Present, seconds apart."""
    lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))  # the store alone
    lab.create(job(lab, "whole"))
    lab.until("the job runs", lambda: lab.runs("whole"))
    for name in ("good", "broken"):
        lab.create(checkpoint(name))
        lab.until(f"{name} is verified", lambda name=name: verified(lab, name) == ("True", "Whole"))
        passed = complete(lab, name) + timedelta(seconds=3)
        lab.until("some seconds have passed", lambda passed=passed: datetime.now(UTC) > passed)
    yield lab
    for name in ("whole", "heir"):
        lab.kubectl("delete", "streamjob", name, "--ignore-not-found", "--timeout=100s", seconds=110)


def test_a_checkpoint_is_verified_when_it_is_complete(running: Lab) -> None:
    told = status(running, "good")
    assert told["verification"]["files"] > 1
    assert told["verification"]["missing"] == 0
    assert running.condition("checkpoint", "good", "Restorable")["status"] == "True"


@pytest.mark.scenario("a target with one file missing: refused, the job was never stopped", group="replay")
def test_what_has_lost_a_file_is_refused_before_the_job_is_stopped(running: Lab) -> None:
    lab = running
    run = lab.job("whole")["run"]["id"]
    inside = directory(lab, "broken")
    lost = next(key for key in lab.keys(inside) if not key.endswith("_metadata"))
    lab.s3().delete_object(Bucket=BUCKET, Key=lost)
    lab.patch({"startFrom": {"latest": None, "checkpoint": {"name": "broken"}}}, "whole")
    found = lab.until(
        "the restore is refused",
        lambda: (c := lab.condition("streamjob", "whole", "Stalled")).get("reason") == "NotWhole" and c,
    )
    assert lost in found["message"]
    now = lab.job("whole")
    assert (now["run"]["id"], now["state"], now.get("intent")) == (run, "Running", None)
    # The look before the restore has told the Checkpoint, too.
    assert verified(lab, "broken") == ("False", "FilesMissing")
    assert lost in status(lab, "broken")["verification"]["firstMissing"][0]
    assert lab.condition("checkpoint", "broken", "Restorable")["status"] == "False"
    assert not lab.checkpoints("whole", "Upgrade")
    lab.patch({"startFrom": {"latest": {}, "checkpoint": None}}, "whole")
    lab.until(
        "nothing is refused any more", lambda: lab.condition("streamjob", "whole", "Stalled")["status"] == "False"
    )


def test_a_user_has_one_looked_at_again(running: Lab) -> None:
    lab = running
    before = status(lab, "good")["verification"]["time"]
    lab.kubectl("annotate", "checkpoint", "good", "penstock.dev/verify=once-more", "--overwrite")
    told = lab.until(
        "it was looked at",
        lambda: (v := status(lab, "good")["verification"]).get("request") == "once-more" and v,
    )
    assert told["time"] > before
    assert verified(lab, "good") == ("True", "Whole")


def test_state_from_elsewhere_is_started_from_and_never_deleted(running: Lab) -> None:
    lab = running
    s3, source = lab.s3(), directory(lab, "good")
    for key in lab.keys(source):
        target = "elsewhere/" + key.removeprefix(source)
        s3.copy_object(Bucket=BUCKET, Key=target, CopySource={"Bucket": BUCKET, "Key": key})
    copied = lab.keys("elsewhere/")
    lab.create(checkpoint("brought", "heir", source="Imported", location=f"s3://{BUCKET}/elsewhere"))
    lab.create(checkpoint("nothing", "heir", source="Imported", location=f"s3://{BUCKET}/nowhere"))
    lab.create(job(lab, "heir", startFrom={"checkpoint": {"name": "brought"}}))
    lab.until("the job runs from it", lambda: lab.runs("heir"))
    began = lab.job("heir")["startedFrom"]
    assert (began["checkpoint"], began["location"], began["confirmed"]) == ("brought", f"s3://{BUCKET}/elsewhere", True)
    assert status(lab, "brought")["checkpointId"] == status(lab, "good")["checkpointId"]
    assert status(lab, "nothing")["phase"] == "Failed"
    lab.patch({"onDelete": {"checkpoints": "Delete"}}, "heir")
    lab.kubectl("delete", "streamjob", "heir", "--timeout=100s", seconds=110)
    assert lab.get("checkpoint", "brought")
    lab.kubectl("delete", "checkpoint", "brought", "--timeout=30s")
    assert lab.keys("elsewhere/") == copied


# ---------------------------------------------------------------- as of a time


@pytest.mark.scenario("as of a time before the first checkpoint: refused, the job runs on", group="replay")
def test_before_the_first_one_there_is_nothing(running: Lab) -> None:
    lab = running
    run, first = lab.job("whole")["run"]["id"], complete(lab, "good")
    said = lab.penstock("restore", "whole", "--as-of", text(first - timedelta(seconds=1)), "--wait", expect=1)
    assert "NothingAsOf: spec.startFrom.asOf.time" in said
    assert f"the first that there is was complete at {text(first).replace('+00:00', 'Z')}" in said
    assert lab.job("whole")["run"]["id"] == run


@pytest.mark.scenario("as of a time in the future: refused, the job runs on", group="replay")
def test_a_time_that_has_not_come_is_refused(running: Lab) -> None:
    lab = running
    run = lab.job("whole")["run"]["id"]
    said = lab.penstock("restore", "whole", "--as-of", text(datetime.now(UTC) + timedelta(hours=1)), "--wait", expect=1)
    assert "TimeInTheFuture: spec.startFrom.asOf.time" in said
    assert lab.job("whole")["run"]["id"] == run
    assert "no time zone" in lab.penstock("restore", "whole", "--as-of", "2026-01-31T12:00:00", expect=2)


@pytest.mark.scenario(
    "as of a time between two checkpoints, written in another time zone: the earlier one", group="replay"
)
def test_between_two_the_earlier_one_is_started_from(running: Lab) -> None:
    lab = running
    between = complete(lab, "broken") - timedelta(seconds=1)
    assert between > complete(lab, "good")
    lab.penstock("restore", "whole", "--as-of", text(between.astimezone(INDIA)), "--wait")
    began = lab.job("whole")["startedFrom"]
    assert (began["kind"], began["checkpoint"], began["confirmed"]) == ("Checkpoint", "good", True)
    assert began["checkpointId"] == lab.get("checkpoint", "good")["status"]["checkpointId"]
