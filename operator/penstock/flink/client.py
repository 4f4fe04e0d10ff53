"""Flink's REST API over one shared connection pool. Facts and forms: docs/decisions and Flink's own REST reference."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote

import aiohttp

from penstock.errors import Refused, RetryLater
from penstock.flink.answers import (
    Checkpointing,
    FlinkJob,
    NotTriggered,
    Trigger,
    busy_millis,
    innermost,
    parse_checkpointing,
    parse_job,
    parse_trigger,
)
from penstock.flink.progress import Progress, Reading, queries

_TIMEOUT_SECONDS = 4.0
_METRIC_PAUSES = (0.0, 0.5, 1.0)
"""Flink fetches figures when they are first asked for, and answers without them until they are there."""
FETCH_SECONDS = 0.5
"""Flink answers with what it fetched last, and begins to fetch anew: so much later it has (20 to 100 ms were seen)."""
_NOT_FOUND = 404
_SERVER_ERROR = 500


_MOST_BYTES = 4 << 20
"""Of one answer. In a JobManager the program's own code runs, and may answer in Flink's place."""

_Given = ParamSpec("_Given")
_T = TypeVar("_T")


def _understood(look: Callable[_Given, Awaitable[_T]]) -> Callable[_Given, Awaitable[_T]]:
    """An answer that is not what Flink answers is none: it must not end the pass, a deletion's least of all."""

    @functools.wraps(look)
    async def looked(*args: _Given.args, **kwargs: _Given.kwargs) -> _T:
        try:
            return await look(*args, **kwargs)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            msg = f"the JobManager's answer is not what Flink answers: {type(error).__name__} {error}"[:300]
            raise RetryLater(msg) from error

    return looked


class FlinkRest:
    """All JobManagers of all jobs; a call names the base URL of one, such as `http://flights-0a1b2c3d-…:8081`."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @_understood
    async def job(self, base: str, run: str) -> FlinkJob | None:
        """One look at a job, or None when this JobManager does not know it (yet)."""
        job = await self._call("GET", f"{base}/jobs/{run}", missing=True)
        if job is None:
            return await self._application(base)
        checkpoints = await self._call("GET", f"{base}/jobs/{run}/checkpoints", missing=True)
        view = parse_job(job, checkpoints or {})
        if view.state == "FAILED":
            return replace(view, failure=await self.fault(base, run))
        if view.state == "CANCELED":
            return replace(view, failure=await self._program_fault(base))
        return view

    @_understood
    async def checkpointing(self, base: str, run: str) -> Checkpointing | None:
        """How a job really takes checkpoints; None when it takes none, or is not known."""
        answer = await self._call("GET", f"{base}/jobs/{run}/checkpoints/config", missing=True)
        return None if answer is None else parse_checkpointing(answer)

    @_understood
    async def busiest(self, base: str, run: str) -> int | None:
        """How busy the busiest subtask of all is, in milliseconds per second; None when Flink does not tell of any."""
        job = await self._call("GET", f"{base}/jobs/{run}", missing=True)
        path = f"{base}/jobs/{run}/vertices/{{}}/subtasks/metrics?get=busyTimeMsPerSecond&agg=max"
        urls = [path.format(vertex["id"]) for vertex in (job or {}).get("vertices", [])]
        for pause in _METRIC_PAUSES:
            await asyncio.sleep(pause)
            answers = [each for url in urls for each in await self._list(url)]
            known = [found for each in answers if (found := busy_millis(each)) is not None]
            if known or not urls:
                return max(known, default=None)
        return None

    @_understood
    async def progress(self, base: str, run: str) -> Progress:
        """How far the sources and the watermarks have come by now: a few calls for each vertex."""
        job = await self._call("GET", f"{base}/jobs/{run}", missing=True)
        found = Reading()
        if job is not None:  # what it would tell at once is as old as the look before
            await asyncio.sleep(FETCH_SECONDS)
        for vertex in [str(each["id"]) for each in (job or {}).get("vertices", [])]:
            url = f"{base}/jobs/{run}/vertices/{vertex}"
            found.take_subtasks((await self._call("GET", url, missing=True) or {}).get("subtasks", []))
            found.take_watermarks(await self._list(f"{url}/watermarks"))
            ids = [str(each.get("id", "")) for each in await self._list(f"{url}/metrics")]
            for query in queries(ids):
                found.take(vertex, await self._list(f"{url}/metrics?get={quote(query, safe=',')}"))
        return found.progress()

    @_understood
    async def fault(self, base: str, run: str) -> str:
        """What made a job restart its tasks last, in Flink's own words; empty when it does not tell."""
        return _root_cause(await self._call("GET", f"{base}/jobs/{run}/exceptions", missing=True) or {})

    async def _program_fault(self, base: str) -> str:
        """Why the program failed behind what it had submitted: Flink then cancels its jobs. Empty: it did not."""
        answer = await self._call("GET", f"{base}/applications/overview", missing=True)
        if answer is None:
            return "its program failed after it had submitted the job, or somebody cancelled it: Flink does not say"
        for each in answer.get("applications", []):
            if each.get("status") in ("FAILING", "FAILED"):
                url = f"{base}/applications/{quote(str(each.get('id')), safe='')}/exceptions"
                why = _root_cause(await self._call("GET", url, missing=True) or {})
                return f"the program failed after it had submitted its job: {why or 'Flink does not say why'}"
        return ""

    async def _application(self, base: str) -> FlinkJob | None:
        """An application that ended without ever making a job (a script without an INSERT) shows only here."""
        answer = await self._call("GET", f"{base}/applications/overview", missing=True)
        ended = [
            str(each.get("status"))
            for each in (answer or {}).get("applications", [])
            if each.get("status") in ("FINISHED", "FAILED") and not each.get("jobs")
        ]
        if not ended:
            return None
        why = f"the application ended ({ended[0]}) without making a job: it needs an INSERT"
        return FlinkJob("FAILED", failure=why, planned=False)

    @_understood
    async def trigger(self, base: str, run: str, trigger_id: str) -> Trigger:
        """Where the savepoint (or the stop) of a trigger id stands."""
        answer = await self._call("GET", f"{base}/jobs/{run}/savepoints/{trigger_id}", missing=True)
        return NotTriggered() if answer is None else parse_trigger(answer)

    async def savepoint(self, base: str, run: str, trigger_id: str, target: str, form: str) -> None:
        """Ask for a savepoint. The same trigger id posted again is the same savepoint."""
        body = {"target-directory": target, "cancel-job": False, "formatType": form.upper(), "triggerId": trigger_id}
        await self._call("POST", f"{base}/jobs/{run}/savepoints", body)

    async def stop(self, base: str, run: str, trigger_id: str, target: str, form: str) -> None:
        """Ask for a stop with a savepoint (camelCase here, unlike `savepoint`)."""
        body = {"targetDirectory": target, "drain": False, "formatType": form.upper(), "triggerId": trigger_id}
        await self._call("POST", f"{base}/jobs/{run}/stop", body)

    async def cancel(self, base: str, run: str) -> None:
        """Cancel without a savepoint; a job that is gone is fine."""
        await self._call("PATCH", f"{base}/jobs/{run}?mode=cancel", missing=True)

    async def _call(
        self, method: str, url: str, body: dict[str, Any] | None = None, *, missing: bool = False
    ) -> dict[str, Any] | None:
        answer = await self._request(method, url, body, missing=missing)
        if answer is not None and not isinstance(answer, dict):
            msg = f"{method} {url}: the answer is no object"
            raise RetryLater(msg)
        return answer

    async def _list(self, url: str) -> list[dict[str, Any]]:
        """An answer that is a list of objects; empty when there is none."""
        answer = await self._request("GET", url, None, missing=True)
        if answer is not None and not (isinstance(answer, list) and all(isinstance(each, dict) for each in answer)):
            msg = f"GET {url}: the answer is no list of objects"
            raise RetryLater(msg)
        return answer or []

    async def _request(self, method: str, url: str, body: dict[str, Any] | None, *, missing: bool) -> Any:  # noqa: ANN401 - any JSON value
        try:
            async with (
                asyncio.timeout(_TIMEOUT_SECONDS),
                self._session.request(method, url, json=body, allow_redirects=False) as answer,
            ):
                if answer.status == _NOT_FOUND and missing:
                    return None
                if answer.status >= _SERVER_ERROR:
                    msg = f"Flink answered {answer.status} to {method} {url}: {await _reason(answer)}"
                    raise RetryLater(msg)
                if not answer.ok or answer.status >= 300:  # noqa: PLR2004 - a redirect is not an answer
                    msg = f"Flink refused {method} {url} ({answer.status}): {await _reason(answer)}"
                    raise Refused(msg, "FlinkRefused", answer.status)
                return json.loads(await _body(answer))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            msg = f"{method} {url}: {type(error).__name__} {error}"
            raise RetryLater(msg) from error


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """All of it, when it is no more than any JobManager says."""
    parts, size = [], 0
    async for part in answer.content.iter_chunked(1 << 16):
        parts.append(part)
        size += len(part)
        if size > _MOST_BYTES:
            msg = f"an answer of more than {_MOST_BYTES >> 20} MiB"
            raise ValueError(msg)
    return b"".join(parts)


async def _reason(answer: aiohttp.ClientResponse) -> str:
    text = (await _body(answer)).decode(errors="replace")
    try:
        errors = json.loads(text).get("errors", [])
        return innermost("\n".join(str(error) for error in errors))
    except (AttributeError, TypeError, ValueError):
        return text[:300]


def _root_cause(exceptions: dict[str, Any]) -> str:
    entries = (exceptions.get("exceptionHistory") or {}).get("entries") or []
    if entries:
        return innermost(str(entries[0].get("stacktrace", "")))
    return innermost(str(exceptions.get("root-exception") or "")) if exceptions.get("root-exception") else ""
