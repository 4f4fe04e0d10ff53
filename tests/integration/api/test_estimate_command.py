"""`penstock estimate` against a real API server; the test answers in the operator's place."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from penstock.api.base import dump, format_time
from penstock.api.measured import MeasuredPartition, MeasuredSources
from penstock.api.streamjob import StreamJob
from penstock.cli import main as cli
from penstock.decide.measuring import asked
from tests.integration.api.conftest import Api
from tests.integration.api.test_kinds import JOB_STATUS, with_status

pytestmark = pytest.mark.cluster

KAFKA = [{"name": "flights", "kafka": {"connection": "kafka", "topics": ["flights"]}}]


def answer(api: Api, told: dict[str, Any], over: threading.Event) -> None:
    """The operator: when there is a question, its status is written."""
    while not over.is_set():
        stored = api.get("StreamJob", "flights").body
        question = asked(StreamJob.model_validate(stored))
        if question is not None:
            whole = {"request": question.request, "time": question.times[-1], "times": question.times} | told
            status = {"estimate": dump(MeasuredSources.model_validate(whole))}
            assert api.patch("StreamJob", "flights", {"status": status}, suffix="_status").accepted
            return
        time.sleep(0.1)


@pytest.fixture
def run(api: Api, kubeconfig: str) -> Callable[..., Result]:
    def asked_for(told: dict[str, Any], *options: str) -> Result:
        status = {key: value for key, value in JOB_STATUS.items() if key != "intent"}
        with_status(api, "StreamJob", status, {"sources": KAFKA, "parallelism": 2})
        over = threading.Event()
        operator = threading.Thread(target=answer, args=(api, told, over))
        operator.start()
        try:
            given = ["estimate", "flights", *options, "--kubeconfig", kubeconfig, "-n", api.namespace]
            return CliRunner().invoke(cli.penstock, given, prog_name="penstock")
        finally:
            over.set()
            operator.join()

    return asked_for


def test_an_answer_is_kept_whole_and_reckoned_with(run: Callable[..., Result], api: Api) -> None:
    parts = [MeasuredPartition(topic="flights", partition=each, records=(90_000, 30_000)) for each in (0, 1)]
    done = run({"partitions": parts, "busyMillis": 500}, "-o", "json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    # The answer is of the moment that "lately" began, so that its rate is 30,000 in the least time that counts: 1 s.
    assert (told["rate"], told["capacity"], told["backlog"], told["readers"]) == (60_000, 120_000, 180_000, 2)
    assert told["from"]["time"] == format_time(
        StreamJob.model_validate(_stored(api)).status.latest_checkpoint.completion_time
    )
    assert _stored(api)["metadata"]["generation"] == 1  # a question is no change of the spec


def _stored(api: Api) -> dict[str, Any]:
    return api.get("StreamJob", "flights").body


def test_a_problem_is_the_commands_error(run: Callable[..., Result]) -> None:
    done = run({"problem": "spec.sources[flights].kafka: no answer within 5 s"})
    assert (done.exit_code, done.stderr) == (1, "penstock: spec.sources[flights].kafka: no answer within 5 s\n")
