"""`penstock history`, `diff` and `rollback` against a real API server, as a user calls them; no operator runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from penstock.act.jobs import record_revision, record_run
from penstock.api.history import RunRecord
from penstock.api.streamjob import StreamJob
from penstock.cli import main as cli
from penstock.decide.change import spec_hash
from penstock.kube.client import USER_MANAGER, Kube, load_user_configuration
from penstock.model import RecordRevision, RecordRun
from tests.integration.api.conftest import Api
from tests.integration.api.test_kinds import CHECKPOINT_STATUS, JOB_STATUS, TIME, with_status
from tests.unit.world import seen

pytestmark = pytest.mark.cluster

FIRST, SECOND = "c" * 32, "d" * 32
SCRIPT = "INSERT INTO a\nSELECT '<ü>' & x FROM b;\n"
"""With what a JSON writer may escape."""
JAR = {"jar": {"uri": "local:///opt/flink/usrlib/job.jar"}}


@dataclass(frozen=True)
class Desk:
    """A job whose version 2, a jar, runs, and whose version 1, a script, has left a Checkpoint."""

    api: Api
    kubeconfig: str
    kubectl: Callable[..., Any]

    def run(self, *arguments: str) -> Result:
        where = ["--kubeconfig", self.kubeconfig, "-n", self.api.namespace]
        return CliRunner().invoke(cli.penstock, [*arguments, *where], prog_name="penstock")

    def create(self, job: StreamJob, versions: dict[int, StreamJob]) -> None:
        """By the operator's own executor, too."""

        async def write() -> None:
            world: Any = SimpleNamespace(kube=Kube(await load_user_configuration(self.kubeconfig, None)))
            try:
                for number, of in versions.items():
                    await record_revision(world, seen(job=job), RecordRevision(number, spec_hash(of.spec), of.spec))
            finally:
                await world.kube.close()

        asyncio.run(write())

    def record(self, job: StreamJob, version: int, runs: dict[str, RunRecord], forget: tuple[str, ...] = ()) -> None:
        """By the operator's own executor: the API server compares the data of a revision byte by byte."""

        async def write() -> None:
            world: Any = SimpleNamespace(kube=Kube(await load_user_configuration(self.kubeconfig, None)))
            try:
                for run, record in runs.items():
                    effect = RecordRun(f"flights-v{version}", run, record, forget)
                    await record_run(world, seen(job=job), effect)
            finally:
                await world.kube.close()

        asyncio.run(write())


@pytest.fixture
def desk(api: Api, kubeconfig: str, kubectl: Callable[..., Any]) -> Desk:
    began = {"kind": "Checkpoint", "text": "before", "checkpoint": "before", "location": "s3://flink/a", "run": FIRST}
    run = {"id": SECOND, "jobVersion": 2, "startedAt": TIME, "confirmed": True}
    status = JOB_STATUS | {"jobVersion": 2, "run": run, "startedFrom": began | {"time": TIME}}
    change = {"job": JAR, "parallelism": 2, "flink.configuration": {"a": "1"}, "state": "Stopped"}
    stored = with_status(api, "StreamJob", status, change)
    made = Desk(api, kubeconfig, kubectl)
    current = StreamJob.model_validate(stored)
    script = {"sql": {"script": SCRIPT}}
    old = StreamJob.model_validate(stored | {"spec": stored["spec"] | {"job": script, "parallelism": 1}})
    made.create(current, {1: old, 2: current})
    first = RunRecord.model_validate({"kind": "Empty", "text": "Empty", "startedAt": TIME, "endState": "STOPPED"})
    made.record(current, 1, {"e" * 32: first})
    made.record(current, 1, {FIRST: first}, forget=("e" * 32,))
    made.record(current, 2, {SECOND: RunRecord.model_validate(began)})
    told = CHECKPOINT_STATUS | {"run": FIRST, "jobVersion": 1, "jobUid": stored["metadata"]["uid"]}
    with_status(api, "Checkpoint", told, name="before")
    return made


def test_history_is_read_from_the_objects(desk: Desk) -> None:
    done = desk.run("history", "flights", "-o", "json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    links = {run["id"]: (run["version"], run["from"]["kind"], run["from"]["checkpoint"]) for run in told["runs"]}
    assert links == {FIRST: (1, "Empty", ""), SECOND: (2, "Checkpoint", "before")}
    assert [(each["name"], each["run"]) for each in told["checkpoints"]] == [("before", FIRST)]
    drawn = desk.run("history", "flights").stdout
    lines = [line[:20].rstrip() for line in drawn.split("\n\n")[-1].splitlines()[1:]]
    assert lines == ["run cccccccc", "└─ before", "   └─ run dddddddd"]


def test_what_a_version_was_stays_as_it_was(desk: Desk) -> None:
    """The API server refuses to change the data of a ControllerRevision; its annotations can be."""
    refused = desk.kubectl(
        *("-n", desk.api.namespace, "patch", "controllerrevision", "flights-v1", "--type=merge", "-p"),
        '{"data":{"spec":{"parallelism":9}}}',
        check=False,
    )
    assert refused.returncode != 0
    assert "immutable" in refused.stderr


def test_diff_compares_what_the_api_server_has_kept(desk: Desk) -> None:
    told = json.loads(desk.run("diff", "flights", "1", "2", "-o", "json").stdout)
    assert [each["field"] for each in told["fields"]] == [
        "job.jar.args",
        "job.jar.uri",
        "job.sql.script",
        "parallelism",
    ]
    assert told["restart"] == "Version"


def test_rollback_writes_the_shape_as_the_user(desk: Desk) -> None:
    before = desk.api.get("StreamJob", "flights").body
    printed = desk.run("rollback", "flights", "--to-version", "1", "--print")
    assert printed.exit_code == 0, printed.output
    assert desk.api.get("StreamJob", "flights").body == before
    done = desk.run("rollback", "flights", "--to-version", "1")
    assert done.exit_code == 0, done.output
    stored = desk.api.get("StreamJob", "flights").body
    spec = stored["spec"]
    assert spec["job"] == {"sql": {"script": SCRIPT}}
    assert (spec["parallelism"], spec["state"], spec["startFrom"]) == (1, "Running", {"checkpoint": {"name": "before"}})
    assert stored["metadata"]["generation"] == before["metadata"]["generation"] + 1
    managers = {each["manager"]: each["fieldsV1"] for each in stored["metadata"]["managedFields"]}
    assert "f:sql" in managers[USER_MANAGER]["f:spec"]["f:job"]
    assert yaml.safe_load(printed.stdout)["spec"] | {"restartToken": spec["restartToken"]} == spec


def test_what_git_is_given_is_accepted_as_it_is(desk: Desk) -> None:
    """Applied to a cluster that lacks the job, with strict validation."""
    printed = yaml.safe_load(desk.run("rollback", "flights", "--to-version", "1", "--print").stdout)
    printed["metadata"]["name"] = "another"
    assert desk.api.create(printed, dry_run=True).message == ""
