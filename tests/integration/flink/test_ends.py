"""What Flink does when a program fails late, and to the checkpoints of a job that ends in one way or another.

Flink alone, as the operator starts it, without an operator: what it relies on when it tells the end of a job, and when
it deletes a JobManager in place of a cancel.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator

import aiohttp
import pytest

from penstock.flink.answers import FlinkJob
from penstock.flink.client import FlinkRest
from tests.integration.flink.managers import Manager, Real

pytestmark = [pytest.mark.timeout(300), pytest.mark.cluster]
Start = Callable[..., Manager]
RETENTIONS = ("RETAIN_ON_CANCELLATION", "DELETE_ON_CANCELLATION", "NO_EXTERNALIZED_CHECKPOINTS")


@pytest.fixture(scope="module")
def real(request: pytest.FixtureRequest) -> Iterator[Real]:
    opened = Real(request.getfixturevalue("kubectl"), f"penstock-ends-{secrets.token_hex(3)}")
    yield opened
    opened.close()


@pytest.fixture
def start(real: Real) -> Iterator[Start]:
    """Starts jobs, which end with the test: there is room for two."""
    started: list[Manager] = []

    def begin(**how: str) -> Manager:
        started.append(real.start(**how))
        return started[-1]

    yield begin
    for each in started:
        real.end(each)


def _seen(manager: Manager) -> FlinkJob | None:
    """As the operator sees it."""

    async def look() -> FlinkJob | None:
        async with aiohttp.ClientSession() as session:
            return await FlinkRest(session).job(manager.base, manager.run)

    return asyncio.run(look())


def _home(manager: Manager) -> str:
    """Where the checkpoints of a job lie."""
    _, told = manager.ask("GET", "checkpoints")
    return str(told["latest"]["completed"]["external_path"].rpartition("/")[0])


def _complete(real: Real, home: str) -> list[str]:
    """The complete checkpoints that lie there."""
    return [key for key in real.keys(home) if key.endswith("/_metadata")]


@pytest.mark.parametrize(
    ("behind", "words"),
    [
        ("LEFT JOIN x ON 1=1;\n", "Incorrect syntax near the keyword 'LEFT' at line 4, column 1"),
        ("INSERT INTO missing SELECT 1;\n", "Cannot find table"),
        ("INSERT INTO counts SELECT 1, 2;\n", "DuplicateJobSubmissionException: Job has already been submitted."),
    ],
    ids=["a stray ;", "a missing table", "two INSERTs"],
)
def test_a_program_that_fails_behind_what_it_has_submitted(start: Start, behind: str, words: str):
    """Flink cancels the job, and says of the job nothing but that."""
    manager = start(behind=behind)
    manager.until("", lambda _, job: job.get("state") == "CANCELED")
    seen = _seen(manager)
    assert seen is not None
    assert seen.failure.startswith("the program failed after it had submitted its job: ")
    assert words in seen.failure


@pytest.mark.parametrize("retention", RETENTIONS)
def test_a_jobmanager_that_is_deleted_discards_nothing(real: Real, start: Start, retention: str):
    """For Flink the job is suspended, whatever its program wants done when it is cancelled."""
    manager = start(retention=retention)
    manager.runs()
    _, told = manager.ask("GET", "checkpoints/config")
    assert told["externalization"]["delete_on_cancellation"] is (retention != "RETAIN_ON_CANCELLATION")
    home = _home(manager)
    real.end_as_penstock(manager)
    assert _complete(real, home)


def test_a_cancel_takes_what_its_program_does_not_want_kept(real: Real, start: Start):
    """The loss that all of this is about."""
    manager = start(retention="DELETE_ON_CANCELLATION")
    manager.runs()
    home = _home(manager)
    assert _complete(real, home)
    assert manager.ask("PATCH", "?mode=cancel")[0] == 202
    manager.until("", lambda _, job: job["state"] == "CANCELED")
    assert _complete(real, home) == []
