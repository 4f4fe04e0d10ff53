"""A change that does not work, on a real Flink: the job is back on the version before and its state, once.

What the preflight sees is refused before the stop (see test_preflight): here it sees nothing, or is overridden.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from test_behaviours import ENDLESS, stream_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.timeout(400)]

NAME = "careful"
DROPPED = ENDLESS.replace("SELECT id, COUNT(*) FROM numbers GROUP BY id", "SELECT id, CAST(id AS BIGINT) FROM numbers")
"""Without the aggregate, which is the operator that has the state."""
COUNTED = "CAST(CONCAT('0', CAST(COUNT(*) AS STRING)) AS BIGINT)"
WORKS = ENDLESS.replace("COUNT(*)", COUNTED)
FAILS = WORKS.replace("CONCAT('0'", "CONCAT('x'")
"""The same plan, so that the state fits; the first record ends it."""


@pytest.fixture(scope="module")
def careful(lab: Lab) -> Iterator[Lab]:
    lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))  # the store alone
    lab.create(stream_job(lab, NAME, WORKS, configuration={"restart-strategy.type": "none"}))
    lab.until("the job runs", lambda: lab.runs(NAME))
    lab.until("it has a checkpoint of its own", lambda: lab.completes(0, NAME))
    yield lab
    lab.kubectl("delete", "streamjob", NAME, "--ignore-not-found", "--timeout=100s", seconds=110)


def taken_back(lab: Lab, version: int) -> dict[str, Any] | None:
    """The status when the change to this version has been taken back and the job runs again."""
    status, stalled = lab.job(NAME), lab.condition("streamjob", NAME, "Stalled")
    held = stalled.get("reason") == "RolledBack" and status["rolledBack"]["jobVersion"] == version
    runs = status.get("state") == "Running" and status["run"].get("confirmed") and "latestCheckpoint" in status
    return status if held and runs else None


def warnings(lab: Lab) -> list[str]:
    fields = f"involvedObject.name={NAME},reason=RolledBack"
    return [str(each["message"]) for each in lab.items("events", fields=fields)]


@pytest.mark.scenario("a query that fails at its first record: back on the old version and state, once", group="replay")
def test_a_query_that_fails_is_taken_back(careful: Lab) -> None:
    lab = careful
    lab.patch({"job": {"sql": {"script": FAILS}}}, NAME)
    status = lab.until("the change is taken back", lambda: taken_back(lab, 2))
    [savepoint] = lab.checkpoints(NAME, "Upgrade")
    began = status["startedFrom"]
    assert (status["jobVersion"], began["checkpoint"], began["confirmed"]) == (1, savepoint["metadata"]["name"], True)
    assert "version 2: NumberFormatException: For input string" in status["rolledBack"]["message"], status["rolledBack"]
    assert "fallback" not in status
    run = status["run"]["id"]
    before = lab.newest(NAME)
    lab.until("it goes on", lambda: lab.newest(NAME) > before + 3)
    assert lab.job(NAME)["run"]["id"] == run, "once: the change is not tried a second time"
    assert len(warnings(lab)) == 1


@pytest.mark.scenario("a broken jar: back on the old version and state, once, with an event", group="replay")
def test_a_jar_that_is_not_there_is_taken_back_too(careful: Lab) -> None:
    lab = careful
    override = {"startFrom": {"latest": {}, "override": ["ProgramFails"]}}
    lab.patch({"job": {"sql": None, "jar": {"uri": "local:///opt/flink/usrlib/missing.jar"}}} | override, NAME)
    status = lab.until("the change is taken back", lambda: taken_back(lab, 3), 240)
    assert {each["name"]: each["result"] for each in status["restore"]["preflight"]["checks"]}[
        "Program"
    ] == "Overridden"
    assert status["jobVersion"] == 1
    assert "missing.jar" in status["rolledBack"]["message"]
    assert len(warnings(lab)) == 2


@pytest.mark.exhaustive
def test_what_was_mended_is_started(careful: Lab) -> None:
    lab = careful
    lab.patch({"job": {"jar": None, "sql": {"script": WORKS}}, "parallelism": 2}, NAME)
    status = lab.until("the new version runs", lambda: (s := lab.runs(NAME)) and s["jobVersion"] == 4 and s)
    assert status["startedFrom"]["kind"] == "Checkpoint"
    assert "rolledBack" not in status
    assert lab.condition("streamjob", NAME, "Stalled")["status"] == "False"
