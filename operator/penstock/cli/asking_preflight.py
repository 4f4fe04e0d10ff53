"""`penstock restore --dry-run`: asking the operator what a start would come to, and waiting for its answer."""

from __future__ import annotations

import uuid
from datetime import timedelta

from penstock.api import constants
from penstock.api.preflight import CheckResult, Preflight
from penstock.api.streamjob import StreamJob
from penstock.cli.following import Verdict, follow_job, stream_job
from penstock.cli.report import columns
from penstock.cli.user import User, connect
from penstock.kube import resources

_GOOD = (CheckResult.PASSED, CheckResult.SKIPPED)


async def dry_run(user: User, name: str, checkpoint: str, patience: timedelta) -> Preflight:
    """Ask, and give what was found. The question is an annotation; the spec is not touched.

    Raises:
        Refused: there is no such job, or the user may not change it.
        click.exceptions.Exit: there was no answer in time (exit code 3); the question stays.
    """
    async with connect(user) as session:
        job = await stream_job(session, name)
        # The same question once more is a new one.
        text = f"{checkpoint} {uuid.uuid4().hex}"
        patch = {"metadata": {"annotations": {constants.PREFLIGHT: text}, "uid": job.metadata.uid}}
        await session.kube.merge(resources.STREAM_JOBS, session.namespace, name, patch)
        found: list[Preflight] = []

        def judge(seen: StreamJob) -> Verdict:
            told = seen.status.restore.dry_run if seen.status.restore is not None else None
            if told is None or told.request != text or not told.checks:
                pod = told is not None and told.request == text and told.asked_at is not None
                return Verdict("the program is tried in a pod of its own" if pod else "the operator looks")
            found.append(told)
            return Verdict("answered", done=True)

        await follow_job(session, name, judge, patience)
        return found[-1]


def passed(told: Preflight) -> bool:
    """Whether nothing would refuse the start, and nothing is unknown."""
    return all(each.result in _GOOD for each in told.checks)


def table(told: Preflight) -> str:
    """The checks for people."""
    rows = [(each.name, each.result.value, each.message) for each in told.checks]
    return columns([("CHECK", "RESULT", "MESSAGE"), *rows])
