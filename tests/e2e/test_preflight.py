"""What does not work is refused before the running job is touched, on a real Flink."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from test_behaviours import ENDLESS, stream_job
from test_rollback import DROPPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.timeout(500)]

NAME = "tried"
OLDER = "tried-before"


@pytest.fixture(scope="module")
def tried(lab: Lab) -> Iterator[Lab]:
    lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))  # the store alone
    lab.create(stream_job(lab, NAME, ENDLESS))
    lab.until("the job runs", lambda: lab.runs(NAME))
    lab.until("it has a checkpoint of its own", lambda: lab.completes(0, NAME))
    yield lab
    lab.kubectl("delete", "streamjob", NAME, "--ignore-not-found", "--timeout=100s", seconds=110)


def stalled(lab: Lab, reason: str) -> dict[str, Any] | None:
    found = lab.condition("streamjob", NAME, "Stalled")
    return found if found.get("reason") == reason else None


def checks(status: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["result"] for each in status["restore"]["preflight"]["checks"]}


def goes_on(lab: Lab, run: str) -> None:
    """The very same run completes checkpoints, was never stopped, and nothing of the preflight is left."""
    before = lab.newest(NAME)
    lab.until("it goes on", lambda: lab.newest(NAME) > before + 2)
    assert lab.job(NAME)["run"]["id"] == run
    assert lab.checkpoints(NAME, "Upgrade") == []
    lab.until("the pod is gone", lambda: not lab.items("jobs,pods,configmaps", labels="penstock.dev/preflight-id"))


@pytest.mark.scenario("a query that drops an operator: refused by its name, the job was never stopped", group="replay")
def test_state_that_would_be_dropped_is_named_and_the_job_runs_on(tried: Lab) -> None:
    lab, run = tried, tried.job(NAME)["run"]["id"]
    lab.patch({"job": {"sql": {"script": DROPPED}}}, NAME)
    found = lab.until("it is refused", lambda: stalled(lab, "StateWouldBeDropped"))
    lab.say(found["message"])
    assert "GroupAggregate" in found["message"]
    assert checks(lab.job(NAME)) == {"Program": "Passed", "Operators": "Failed", "Split": "Passed"}
    goes_on(lab, run)


@pytest.mark.scenario("wrong SQL, a broken jar: refused in Flink's words, the job was never stopped", group="replay")
def test_a_program_that_fails_is_refused_with_its_words(tried: Lab) -> None:
    lab, run = tried, tried.job(NAME)["run"]["id"]
    lab.patch({"job": {"sql": {"script": ENDLESS.replace("FROM numbers", "FROM nobody")}}}, NAME)
    found = lab.until("the SQL is refused", lambda: stalled(lab, "ProgramFails"))
    assert "nobody" in found["message"]
    lab.patch({"job": {"sql": None, "jar": {"uri": "local:///opt/flink/usrlib/missing.jar"}}}, NAME)
    words = lambda: (f := stalled(lab, "ProgramFails")) and "missing.jar" in f["message"]  # noqa: E731
    lab.until("the jar is refused", words)
    goes_on(lab, run)


def test_a_dry_run_says_what_would_come_of_a_restore(tried: Lab) -> None:
    lab = tried
    lab.patch({"job": {"jar": None, "sql": {"script": ENDLESS}}}, NAME)
    lab.until("the job is as its spec asks", lambda: lab.runs(NAME))
    run = lab.job(NAME)["run"]["id"]
    lab.take(OLDER, NAME)
    good = lab.penstock("restore", NAME, "--from", OLDER, "--dry-run", seconds=240)
    lab.say(good)
    assert "Failed" not in good
    assert [line.split()[1] for line in good.splitlines()[1:]].count("Passed") == 7
    bad = lab.penstock("restore", NAME, "--from", "nothing", "--dry-run", expect=1, seconds=240)
    assert "there is no such Checkpoint" in bad
    assert lab.job(NAME)["run"]["id"] == run


@pytest.mark.scenario("an older checkpoint onto a query that drops an operator: refused by its name", group="replay")
def test_a_restore_onto_a_query_that_drops_an_operator_is_refused(tried: Lab) -> None:
    lab, run = tried, tried.job(NAME)["run"]["id"]
    start = {"startFrom": {"latest": None, "checkpoint": {"name": OLDER}}}
    lab.patch({"job": {"sql": {"script": DROPPED}}} | start, NAME)
    found = lab.until("it is refused", lambda: stalled(lab, "StateWouldBeDropped"))
    assert f"with state in {OLDER} are not in the program: GroupAggregate" in found["message"]
    passed = dict.fromkeys(("State", "Files", "Version", "Parallelism", "Program", "Split"), "Passed")
    assert checks(lab.job(NAME)) == passed | {"Sources": "Skipped", "Operators": "Failed"}
    goes_on(lab, run)


@pytest.mark.scenario(
    "an older checkpoint onto a query that drops an operator, overridden: it runs, without that state", group="replay"
)
def test_state_that_is_given_up_does_not_keep_the_change_from_running(tried: Lab) -> None:
    lab, run = tried, tried.job(NAME)["run"]["id"]
    start = {"startFrom": {"latest": None, "checkpoint": {"name": OLDER}, "override": ["StateWouldBeDropped"]}}
    lab.patch({"job": {"sql": {"script": DROPPED}}} | start, NAME)
    status = lab.until("the new version runs", lambda: (s := lab.runs(NAME)) and s["run"]["id"] != run and s)
    assert checks(status)["Operators"] == "Overridden"
    began = status["startedFrom"]
    assert (began["checkpoint"], began["allowNonRestoredState"], began["confirmed"]) == (OLDER, True, True)
