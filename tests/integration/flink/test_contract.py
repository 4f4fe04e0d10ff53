"""What `penstock/flink/client.py` relies on in Flink's REST API, of a real JobManager and of the crash harness's fake.

The same tests run against both. Where they pass on both, the fake answers as Flink does.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from penstock.flink.answers import busy_millis, parse_checkpointing
from penstock.flink.client import FETCH_SECONDS
from penstock.flink.progress import Progress, Reading, queries
from tests.integration.flink.managers import Fake, Manager, Real

pytestmark = pytest.mark.timeout(300)
Side = Fake | Real
_RECORDS = "0.numRecordsOut"
"""A metric of a source's first subtask."""


@pytest.fixture(scope="module", params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    opened: Side
    if request.param == "fake":
        opened = Fake()
    else:
        opened = Real(request.getfixturevalue("kubectl"), f"penstock-contract-{secrets.token_hex(3)}")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def running(side: Side) -> Iterator[Manager]:
    """A job that runs; the tests of this file stop it in the end."""
    started = side.start()
    started.runs()
    yield started
    side.end(started)


def trigger() -> str:
    return secrets.token_hex(16)


def savepoint(manager: Manager, trigger_id: str, target: str) -> tuple[int, dict[str, Any]]:
    body = {"target-directory": target, "cancel-job": False, "formatType": "CANONICAL", "triggerId": trigger_id}
    return manager.ask("POST", "savepoints", body)


def stop(manager: Manager, trigger_id: str, target: str) -> tuple[int, dict[str, Any]]:
    body = {"targetDirectory": target, "drain": False, "formatType": "CANONICAL", "triggerId": trigger_id}
    return manager.ask("POST", "stop", body)


def is_error(answer: tuple[int, dict[str, Any]], status: int) -> bool:
    return answer[0] == status and bool(answer[1]["errors"])


def test_a_job_that_runs(running: Manager):
    status, job = running.ask("GET", "")
    assert (status, job["jid"], job["state"]) == (200, running.run, "RUNNING")
    assert {vertex["status"] for vertex in job["vertices"]} == {"RUNNING"}


def test_how_busy_each_vertex_is(running: Manager):
    """The figures are fetched when they are first asked for: until then the list is empty."""
    _, job = running.ask("GET", "")
    busy = []
    for vertex in job["vertices"]:
        path = f"vertices/{vertex['id']}/subtasks/metrics?get=busyTimeMsPerSecond&agg=max"
        [told] = running.until(path, lambda status, told: status == 200 and bool(told))
        assert told["id"] == "busyTimeMsPerSecond"
        busy.append(busy_millis(told))
    known = [each for each in busy if each is not None]
    assert known
    assert all(0 <= each <= 1000 for each in known)


def test_when_it_was_begun_and_its_tasks_restarted(running: Manager):
    _, job = running.ask("GET", "")
    assert 0 < job["start-time"] <= job["now"]
    assert job["timestamps"]["RESTARTING"] == 0


def test_how_far_each_vertex_has_come(running: Manager):
    """A source that is no Kafka topic, without watermarks: there is nothing to tell a backlog from."""
    _, job = running.ask("GET", "")
    found = Reading()
    for vertex in job["vertices"]:
        path = f"vertices/{vertex['id']}"
        found.take_subtasks(running.ask("GET", path)[1]["subtasks"])
        for part, take in (("watermarks", found.take_watermarks), ("metrics", partial(found.take, vertex["id"]))):
            status, told = running.ask("GET", f"{path}/{part}")
            assert (status, isinstance(told, list)) == (200, True)
            take(told)
            assert queries(str(each["id"]) for each in told) == []
    assert found.progress() == Progress(running_millis=found.progress().running_millis)
    assert (found.progress().running_millis or -1) >= 0


def test_figures_are_of_now_so_long_after_they_were_asked_for(running: Manager):
    """Ten records a second: what was fetched when somebody asked last, seconds ago, would be further behind."""
    _, job = running.ask("GET", "")
    metrics = f"vertices/{job['vertices'][0]['id']}/metrics"
    running.until(metrics, lambda status, told: status == 200 and _RECORDS in {each["id"] for each in told})
    figures = []
    for quiet in (5.0, 1.5):
        time.sleep(quiet)
        running.ask("GET", "")
        time.sleep(FETCH_SECONDS)
        [told] = running.ask("GET", f"{metrics}?get={_RECORDS}")[1]
        figures.append(int(told["value"]))
    assert 0 < figures[1] - figures[0] < 40, figures


def test_the_checkpoints_of_a_job_that_began_empty(running: Manager):
    status, told = running.ask("GET", "checkpoints")
    assert status == 200
    assert (told["latest"]["restored"], told["latest"]["savepoint"]) == (None, None)
    completed = told["latest"]["completed"]
    assert completed["external_path"].rpartition("/")[2] == f"chk-{completed['id']}"
    assert (completed["status"], completed["is_savepoint"], completed["discarded"]) == ("COMPLETED", False, False)
    assert completed["latest_ack_timestamp"] - completed["trigger_timestamp"] == completed["end_to_end_duration"]
    assert completed["state_size"] > 0


def test_how_it_takes_its_checkpoints(running: Manager):
    status, told = running.ask("GET", "checkpoints/config")
    found = parse_checkpointing(told)
    assert (status, found.keeps_on_cancellation, found.mode) == (200, True, "exactly_once")
    assert found.interval_millis == told["interval"] > 0


def test_a_job_that_has_not_failed_has_no_exception(running: Manager):
    status, told = running.ask("GET", "exceptions")
    assert (status, told["exceptionHistory"]["entries"]) == (200, [])


def test_the_application_of_a_job(running: Manager):
    status, told = running.ask("GET", "/applications/overview")
    assert status == 200
    assert [bool(each["jobs"]) for each in told["applications"]] == [True]
    assert told["applications"][0]["status"] == "RUNNING"


@pytest.mark.parametrize("path", ["", "/checkpoints", "/exceptions"])
def test_a_job_that_is_not_known(running: Manager, path: str):
    assert is_error(running.ask("GET", f"/jobs/{'0' * 32}{path}"), 404)


def test_cancelling_a_job_that_is_not_known(running: Manager):
    assert is_error(running.ask("PATCH", f"/jobs/{'0' * 32}?mode=cancel"), 404)


def test_a_trigger_id_that_is_not_known(running: Manager):
    assert is_error(running.ask("GET", f"savepoints/{'0' * 32}"), 404)
    assert is_error(running.ask("GET", f"/jobs/{'0' * 32}/savepoints/{'0' * 32}"), 404)


def test_a_trigger_id_that_is_none(running: Manager):
    assert is_error(savepoint(running, "short", running.savepoints), 400)


def test_a_savepoint_of_a_job_that_is_not_known_is_accepted_and_fails(running: Manager):
    other = Manager(running.base, "0" * 32, running.savepoints)
    asked = trigger()
    assert savepoint(other, asked, running.savepoints) == (202, {"request-id": asked})
    assert "FlinkJobNotFoundException" in other.polled(asked)["failure-cause"]["stack-trace"]


def test_one_trigger_id_is_one_savepoint(running: Manager, side: Side):
    asked, target = trigger(), f"{running.savepoints}/one"
    for _ in range(3):
        assert savepoint(running, asked, target) == (202, {"request-id": asked})
    location = running.polled(asked)["location"]
    assert savepoint(running, asked, target) == (202, {"request-id": asked})
    assert running.polled(asked) == {"location": location}
    head, _, name = location.rpartition("/")
    assert (head, name[:17]) == (target, f"savepoint-{running.run[:6]}-")
    assert {key.split("/")[-2] for key in side.keys(f"{target}/")} == {name}
    assert f"{location}/_metadata".removeprefix("s3://penstock/") in side.keys(f"{target}/")
    told = running.until(
        "checkpoints", lambda _, told: (told["latest"]["savepoint"] or {}).get("external_path") == location
    )
    (entry,) = [each for each in told["history"] if each.get("external_path") == location]
    assert (entry["is_savepoint"], entry["status"], entry["discarded"]) == (True, "COMPLETED", False)


def test_a_savepoint_that_fails_is_called_completed_with_a_cause(running: Manager):
    asked = trigger()
    assert savepoint(running, asked, "nosuchscheme://bucket/key") == (202, {"request-id": asked})
    operation = running.polled(asked)
    assert set(operation) == {"failure-cause"}
    assert {"class", "stack-trace"} <= set(operation["failure-cause"])
    running.until("", lambda _, job: job["state"] == "RUNNING")


@pytest.fixture(scope="module")
def stopped(running: Manager) -> tuple[Manager, str, str]:
    """The job after a stop: JobManager, trigger id, location."""
    asked = trigger()
    for _ in range(2):
        assert stop(running, asked, f"{running.savepoints}/stop") == (202, {"request-id": asked})
    return running, asked, running.polled(asked)["location"]


def test_a_stop(stopped: tuple[Manager, str, str], side: Side):
    manager, asked, location = stopped
    job = manager.until("", lambda _, job: job["state"] == "FINISHED")
    assert job["jid"] == manager.run
    assert location.startswith(f"{manager.savepoints}/stop/savepoint-")
    assert [key.rpartition("/")[2] for key in side.keys(location)].count("_metadata") == 1
    assert manager.polled(asked) == {"location": location}


def test_a_job_that_finished_takes_its_own_checkpoints_along(stopped: tuple[Manager, str, str], side: Side):
    manager, _, _ = stopped
    _, told = manager.ask("GET", "checkpoints")
    retained = told["latest"]["completed"]["external_path"].rpartition("/")[0]
    assert [key for key in side.keys(retained) if key.endswith("/_metadata")] == []


def test_what_is_asked_of_a_job_that_finished(stopped: tuple[Manager, str, str]):
    manager, _, _ = stopped
    for ask in (savepoint, stop):
        asked = trigger()
        assert ask(manager, asked, manager.savepoints) == (202, {"request-id": asked})
        assert "failure-cause" in manager.polled(asked)
    assert is_error(manager.ask("PATCH", "?mode=cancel"), 409)
    assert manager.ask("GET", "")[1]["state"] == "FINISHED"


@pytest.fixture(scope="module")
def restored(stopped: tuple[Manager, str, str], side: Side) -> Iterator[Manager]:
    """A job that began with the savepoint of the stop."""
    manager, _, location = stopped
    side.end(manager)
    started = side.start(location)
    started.runs()
    yield started
    side.end(started)


def test_a_restored_job(restored: Manager, stopped: tuple[Manager, str, str]):
    _, told = restored.ask("GET", "checkpoints")
    found = told["latest"]["restored"]
    assert (found["external_path"], found["is_savepoint"]) == (stopped[2], True)
    assert told["latest"]["completed"]["id"] > found["id"]


def test_a_cancelled_job_keeps_its_checkpoints(restored: Manager, side: Side):
    assert restored.ask("PATCH", "?mode=cancel")[0] == 202
    restored.until("", lambda _, job: job["state"] == "CANCELED")
    # A moment later than the job. That of a program which fails is FAILING before its job is cancelled (test_ends).
    restored.until(
        "/applications/overview", lambda _, told: [each["status"] for each in told["applications"]] == ["CANCELED"]
    )
    assert restored.ask("PATCH", "?mode=cancel")[0] == 202
    _, told = restored.ask("GET", "checkpoints")
    completed = told["latest"]["completed"]
    assert completed["discarded"] is False
    assert f"{completed['external_path']}/_metadata".removeprefix("s3://penstock/") in side.keys(
        completed["external_path"]
    )
