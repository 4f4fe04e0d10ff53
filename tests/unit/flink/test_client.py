"""Flink's REST client against a small real HTTP server: what is asked, and what each answer becomes."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from penstock.errors import Refused, RetryLater
from penstock.flink import client as module
from penstock.flink.answers import Checkpointing, Completed, FlinkJob, NotTriggered
from penstock.flink.client import FlinkRest
from penstock.flink.progress import Progress
from tests.unit.builders import RUN

Answer = tuple[int, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MISSING = {"errors": [f"org.apache.flink.runtime.rest.NotFoundException: Job {RUN} not found\n\tat a.b(C.java)"]}


class Flink:
    """Answers by path; what was asked is kept."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer | Handler] = {}
        self.asked: list[tuple[str, str, Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.path_qs, body))
        answer = self.answers.get(request.path, (404, MISSING))
        if callable(answer):
            return await answer(request)
        status, content = answer
        if isinstance(content, str):
            return web.Response(status=status, text=content, content_type="text/html")
        return web.json_response(content, status=status)


@pytest.fixture
async def flink() -> AsyncIterator[Flink]:
    made, app = Flink(), web.Application()
    app.router.add_route("*", "/{tail:.*}", made.answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        made.base = str(server.make_url("")).rstrip("/")  # type: ignore[attr-defined]
        made.rest = FlinkRest(session)  # type: ignore[attr-defined]
        yield made


JOB = {"jid": RUN, "state": "RUNNING", "vertices": [{"status": "RUNNING"}]}
PATH = f"/jobs/{RUN}"


async def test_a_job(flink):
    flink.answers = {PATH: (200, JOB), f"{PATH}/checkpoints": (200, {"latest": {}, "history": []})}
    assert await flink.rest.job(flink.base, RUN) == FlinkJob("RUNNING", all_running=True)


async def test_a_job_that_is_not_known(flink):
    assert await flink.rest.job(flink.base, RUN) is None


async def test_a_job_without_checkpointing(flink):
    """404 there means 'Checkpointing has not been enabled', not 'no such job'."""
    flink.answers = {PATH: (200, JOB)}
    assert await flink.rest.job(flink.base, RUN) == FlinkJob("RUNNING", all_running=True)


async def test_why_a_job_failed(flink):
    trace = "a.B: x\nCaused by: java.lang.ArithmeticException: / by zero\n\tat c"
    flink.answers = {
        PATH: (200, {"state": "FAILED", "vertices": []}),
        f"{PATH}/exceptions": (200, {"exceptionHistory": {"entries": [{"stacktrace": trace}]}}),
    }
    assert (await flink.rest.job(flink.base, RUN)).failure == "ArithmeticException: / by zero"


@pytest.mark.parametrize("status", ["FAILING", "FAILED"])
async def test_why_flink_cancelled_a_job_by_itself(flink, status):
    trace = "a.ApplicationExecutionException: x\nCaused by: java.lang.IllegalStateException: late\n\tat c"
    flink.answers = {
        PATH: (200, {"state": "CANCELED", "vertices": []}),
        "/applications/overview": (200, {"applications": [{"id": "0a", "status": status, "jobs": {"CANCELED": 1}}]}),
        "/applications/0a/exceptions": (200, {"exceptionHistory": {"entries": [{"stacktrace": trace}]}}),
    }
    told = "the program failed after it had submitted its job: IllegalStateException: late"
    assert (await flink.rest.job(flink.base, RUN)).failure == told


async def test_a_job_that_somebody_cancelled(flink):
    flink.answers = {
        PATH: (200, {"state": "CANCELED", "vertices": []}),
        "/applications/overview": (200, {"applications": [{"id": "0", "status": "CANCELED", "jobs": {"CANCELED": 1}}]}),
    }
    assert (await flink.rest.job(flink.base, RUN)).failure == ""


async def test_an_application_that_made_no_job(flink):
    ended = {"id": "x", "name": "SqlDriver", "status": "FINISHED", "jobs": {}}
    flink.answers = {"/applications/overview": (200, {"applications": [ended]})}
    found = await flink.rest.job(flink.base, RUN)
    assert found.state == "FAILED"
    assert "INSERT" in found.failure


async def test_an_application_that_still_runs_is_no_failure(flink):
    flink.answers = {"/applications/overview": (200, {"applications": [{"status": "RUNNING", "jobs": {}}]})}
    assert await flink.rest.job(flink.base, RUN) is None


async def test_a_savepoint_and_a_stop_are_asked_for_under_our_id(flink):
    flink.answers = {f"{PATH}/savepoints": (202, {"request-id": "t"}), f"{PATH}/stop": (202, {"request-id": "t"})}
    await flink.rest.savepoint(flink.base, RUN, "t", "s3://b/x", "Canonical")
    await flink.rest.stop(flink.base, RUN, "t", "s3://b/x", "Native")
    savepoint = {"target-directory": "s3://b/x", "cancel-job": False, "formatType": "CANONICAL", "triggerId": "t"}
    stop = {"targetDirectory": "s3://b/x", "drain": False, "formatType": "NATIVE", "triggerId": "t"}
    assert flink.asked == [("POST", f"{PATH}/savepoints", savepoint), ("POST", f"{PATH}/stop", stop)]


async def test_the_busiest_subtask_of_all_vertices(flink):
    vertices = [{"id": each} for each in "abcd"]
    metrics = {
        "a": [{"id": "busyTimeMsPerSecond", "max": 120.4}],
        "b": [{"max": 830.6}],
        "c": [{"max": "NaN"}],
        "d": [],
    }
    flink.answers = {PATH: (200, JOB | {"vertices": vertices})}
    flink.answers |= {f"{PATH}/vertices/{each}/subtasks/metrics": (200, found) for each, found in metrics.items()}
    assert await flink.rest.busiest(flink.base, RUN) == 831
    assert f"{PATH}/vertices/b/subtasks/metrics?get=busyTimeMsPerSecond&agg=max" in {path for _, path, _ in flink.asked}


async def test_figures_that_flink_has_yet_to_fetch_are_asked_for_again(flink, monkeypatch):
    monkeypatch.setattr(module, "_METRIC_PAUSES", (0, 0))
    answers = [[], [{"max": 7.0}]]

    async def metrics(_: web.Request) -> web.StreamResponse:
        return web.json_response(answers.pop(0))

    flink.answers = {PATH: (200, JOB | {"vertices": [{"id": "a"}]}), f"{PATH}/vertices/a/subtasks/metrics": metrics}
    assert await flink.rest.busiest(flink.base, RUN) == 7


async def test_how_busy_nobody_can_tell(flink, monkeypatch):
    monkeypatch.setattr(module, "_METRIC_PAUSES", (0, 0))
    assert await flink.rest.busiest(flink.base, RUN) is None
    flink.answers = {PATH: (200, JOB | {"vertices": [{"id": "a"}]})}
    assert await flink.rest.busiest(flink.base, RUN) is None  # a vertex that has just gone
    flink.answers[f"{PATH}/vertices/a/subtasks/metrics"] = (200, [1])
    with pytest.raises(RetryLater):
        await flink.rest.busiest(flink.base, RUN)


async def test_how_far_the_sources_have_come(flink, monkeypatch):
    monkeypatch.setattr(module, "FETCH_SECONDS", 0)
    names = [f"{subtask}.Source__a.KafkaSourceReader.topic.t.partition.{subtask}.currentOffset" for subtask in (0, 1)]
    flink.answers = {PATH: (200, JOB | {"vertices": [{"id": "a"}, {"id": "b"}]})}
    flink.answers |= {
        f"{PATH}/vertices/a": (200, {"subtasks": [{"status": "RUNNING", "status-duration": {"RUNNING": 70}}]}),
        f"{PATH}/vertices/b": (200, {"subtasks": [{"status": "RUNNING", "status-duration": {"RUNNING": 50}}]}),
        f"{PATH}/vertices/b/watermarks": (200, [{"id": "0.currentInputWatermark", "value": "12"}]),
        f"{PATH}/vertices/a/metrics": (200, [{"id": name, "value": "6"} for name in names]),
        f"{PATH}/vertices/b/metrics": (200, [{"id": "0.Map.numRecordsIn"}]),
    }
    found = await flink.rest.progress(flink.base, RUN)
    assert found.offsets == {("t", 0): 7, ("t", 1): 7}
    assert (found.watermark, found.running_millis) == (12, 50)
    asked = [path for _, path, _ in flink.asked if "get=" in path]
    assert asked == [f"{PATH}/vertices/a/metrics?get={','.join(names)}"], "only of the source, and all at once"


async def test_what_is_told_is_what_was_fetched_for_it(flink, monkeypatch):
    """Flink answers with what it had, and begins to fetch: without a pause each look was as old as the one before."""
    monkeypatch.setattr(module, "FETCH_SECONDS", 0.2)
    name = "0.Source__a.KafkaSourceReader.topic.t.partition.0.currentOffset"
    told = {"now": "41", "fetched": "6"}

    async def job(_: web.Request) -> web.StreamResponse:
        asyncio.get_running_loop().call_later(0.1, told.update, {"fetched": told["now"]})
        return web.json_response(JOB | {"vertices": [{"id": "a"}]})

    async def metrics(_: web.Request) -> web.StreamResponse:
        return web.json_response([{"id": name, "value": told["fetched"]}])

    flink.answers = {PATH: job, f"{PATH}/vertices/a/metrics": metrics}
    assert (await flink.rest.progress(flink.base, RUN)).offsets == {("t", 0): 42}


async def test_of_a_job_that_is_not_known_nothing_is_told(flink):
    assert await flink.rest.progress(flink.base, RUN) == Progress()
    assert await flink.rest.fault(flink.base, RUN) == ""


async def test_why_its_tasks_were_restarted(flink):
    trace = "a.B: x\nCaused by: org.apache.flink.util.FlinkExpectedException: The TaskExecutor is shutting down."
    entries = {"exceptionHistory": {"entries": [{"stacktrace": trace}]}}
    flink.answers = {f"{PATH}/exceptions": (200, entries)}
    assert await flink.rest.fault(flink.base, RUN) == "FlinkExpectedException: The TaskExecutor is shutting down."


CONFIG = f"{PATH}/checkpoints/config"


@pytest.mark.parametrize(
    ("externalization", "keeps"),
    [
        ({"enabled": True, "delete_on_cancellation": False}, True),
        ({"enabled": True, "delete_on_cancellation": True}, False),
        ({"enabled": False, "delete_on_cancellation": True}, False),
        ({"enabled": False, "delete_on_cancellation": False}, False),
        ({"enabled": True}, False),
        ({}, False),
        (None, False),
    ],
)
async def test_how_a_job_takes_checkpoints(flink, externalization, keeps):
    storage = {"checkpoint_storage": "FileSystemCheckpointStorage"}
    said = {"mode": "exactly_once", "interval": 2000, "externalization": externalization} | storage
    flink.answers = {CONFIG: (200, said)}
    found = await flink.rest.checkpointing(flink.base, RUN)
    assert found == Checkpointing(keeps, 2000, "exactly_once", "FileSystemCheckpointStorage")


async def test_of_a_job_without_checkpoints_it_does_not_say(flink):
    assert await flink.rest.checkpointing(flink.base, RUN) is None


async def test_a_cancel(flink):
    flink.answers = {PATH: (202, {})}
    await flink.rest.cancel(flink.base, RUN)
    assert flink.asked == [("PATCH", f"{PATH}?mode=cancel", None)]


async def test_cancelling_what_is_gone_is_fine(flink):
    await flink.rest.cancel(flink.base, RUN)


async def test_cancelling_what_has_ended_is_refused(flink):
    flink.answers = {PATH: (409, {"errors": ["already reached another terminal state (FINISHED)"]})}
    with pytest.raises(Refused, match="terminal state"):
        await flink.rest.cancel(flink.base, RUN)


async def test_a_trigger(flink):
    done = {"status": {"id": "COMPLETED"}, "operation": {"location": "s3://b/savepoint-1"}}
    flink.answers = {f"{PATH}/savepoints/t": (200, done)}
    assert await flink.rest.trigger(flink.base, RUN, "t") == Completed("s3://b/savepoint-1")
    assert await flink.rest.trigger(flink.base, RUN, "u") == NotTriggered()


CALLS = {
    "job": lambda rest, base: rest.job(base, RUN),
    "trigger": lambda rest, base: rest.trigger(base, RUN, "t"),
    "savepoint": lambda rest, base: rest.savepoint(base, RUN, "t", "s3://b", "Canonical"),
    "stop": lambda rest, base: rest.stop(base, RUN, "t", "s3://b", "Canonical"),
    "cancel": lambda rest, base: rest.cancel(base, RUN),
}
PATHS = (PATH, f"{PATH}/savepoints/t", f"{PATH}/savepoints", f"{PATH}/stop")
all_calls = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@all_calls
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_5xx_is_unknown(flink, call, status):
    flink.answers = dict.fromkeys(PATHS, (status, {"errors": ["a.B: leader election"]}))
    with pytest.raises(RetryLater, match=str(status)):
        await call(flink.rest, flink.base)


@all_calls
@pytest.mark.parametrize("status", [400, 405, 409])
async def test_a_4xx_is_a_no(flink, call, status):
    flink.answers = dict.fromkeys(PATHS, (status, {"errors": ["a.b.SomeException: bad request"]}))
    with pytest.raises(Refused, match="bad request") as refused:
        await call(flink.rest, flink.base)
    assert refused.value.status == status


@all_calls
async def test_nobody_listens(flink, call):
    with pytest.raises(RetryLater):
        await call(flink.rest, "http://127.0.0.1:1")


@all_calls
async def test_an_answer_that_is_none(flink, call):
    flink.answers = dict.fromkeys(PATHS, (200, "<html>a proxy's page</html>"))
    with pytest.raises(RetryLater):
        await call(flink.rest, flink.base)


@all_calls
async def test_a_redirect_is_not_followed(flink, call):
    async def elsewhere(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/elsewhere")

    flink.answers = dict.fromkeys(PATHS, elsewhere)
    with pytest.raises(Refused):
        await call(flink.rest, flink.base)
    assert "/elsewhere" not in [path for _, path, _ in flink.asked]


@all_calls
async def test_a_time_out_is_unknown(flink, call, monkeypatch):
    monkeypatch.setattr(module, "_TIMEOUT_SECONDS", 0.02)

    async def slow(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.1)
        return web.json_response({})

    flink.answers = dict.fromkeys(PATHS, slow)
    with pytest.raises(RetryLater):
        await call(flink.rest, flink.base)


async def test_a_savepoint_of_an_unknown_job_is_no_silence(flink):
    with pytest.raises(Refused) as refused:
        await flink.rest.savepoint(flink.base, RUN, "t", "s3://b", "Canonical")
    assert refused.value.status == 404
    assert "not found" in str(refused.value)


NONSENSE = {
    "vertices are no list": {PATH: (200, JOB | {"vertices": 7})},
    "a vertex is none": {PATH: (200, JOB | {"vertices": [None]})},
    "latest is a text": {PATH: (200, JOB), f"{PATH}/checkpoints": (200, {"latest": "x"})},
    "an id is no number": {PATH: (200, JOB), f"{PATH}/checkpoints": (200, {"history": [{"id": "x"}]})},
    "a number is a list": {PATH: (200, JOB | {"now": [1]})},
}


@pytest.mark.parametrize("answers", NONSENSE.values(), ids=NONSENSE)
async def test_an_answer_that_is_not_flinks_is_unknown(flink, answers):
    """A program may answer on its JobManager's port; it must not end the passes of its own deletion."""
    flink.answers = answers
    with pytest.raises(RetryLater, match="is not what Flink answers"):
        await flink.rest.job(flink.base, RUN)


@pytest.mark.parametrize("status", [200, 500, 400])
async def test_an_answer_without_end_is_not_read(flink, status):
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=status)
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                await answer.write(b"x" * (1 << 20))
        return answer

    flink.answers = {PATH: endless}
    tracemalloc.start()
    try:
        with pytest.raises(RetryLater, match="more than 4 MiB"):
            await flink.rest.job(flink.base, RUN)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
