"""`penstock verify NAME`: the operator is asked, and its answer is waited for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from penstock.api import constants
from penstock.cli import asking
from penstock.cli import main as cli
from penstock.errors import Refused
from penstock.kube import client
from tests.unit.builders import NAMESPACE, checkpoint
from tests.unit.fakes import FakeKube, Manifest
from tests.unit.world import manifest

WHOLE = ("True", "Whole", "all 3 files are there, 1000 bytes")
BROKEN = ("False", "FilesMissing", "1 of 3 files are missing or too short: a (missing)")


class Desk:
    """A user, and an operator that answers at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: tuple[str, str, str] | None, **made: Any) -> None:
        self.kube = FakeKube(manifest(checkpoint(**({"phase": "Present"} | made))))
        self.answer = answer
        self.reads = 0
        self.kube.before = self._before

        async def configuration(*_: Any) -> None:
            return None

        monkeypatch.setattr(client, "Kube", lambda *_: self.kube)
        monkeypatch.setattr(client, "load_user_configuration", configuration)
        monkeypatch.setattr(client, "user_namespace", lambda *_: NAMESPACE)
        monkeypatch.setattr(asking, "_EVERY_SECONDS", 0.01)

    @property
    def stored(self) -> Manifest:
        return self.kube.of("Checkpoint")["before"]

    def _before(self, verb: str, kind: str, _name: str) -> None:
        """The operator: at the second look after the question its answer is there."""
        if (verb, kind) != ("get", "Checkpoint"):
            return
        request = (self.stored["metadata"].get("annotations") or {}).get(constants.VERIFY)
        self.reads += request is not None
        if self.answer is None or self.reads < 2:
            return
        state, reason, message = self.answer
        told = {"type": "Verified", "status": state, "reason": reason, "message": message}
        missing = 0 if state == "True" else 1
        self.stored["status"] |= {
            "verification": {"time": "2026-01-31T12:00:00Z", "files": 3, "missing": missing, "request": request},
            "conditions": [told],
        }

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli.penstock, ["verify", *arguments], prog_name="penstock")


Make = Callable[..., Desk]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    return lambda answer=WHOLE, **made: Desk(monkeypatch, answer, **made)


def test_a_whole_one(make: Make) -> None:
    desk = make()
    done = desk.run("before")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "Whole:        yes" in done.stdout
    assert WHOLE[2] in done.stdout
    assert desk.kube.closed


def test_one_that_is_not(make: Make) -> None:
    done = make(BROKEN).run("before", "-o", "json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert (told["checkpoint"], told["whole"], told["files"], told["missing"]) == ("before", False, 3, 1)
    assert told["message"] == BROKEN[2]


def test_an_old_answer_is_not_taken_for_the_new_one(make: Make) -> None:
    desk = make()
    assert desk.run("before").exit_code == 0
    first = desk.stored["metadata"]["annotations"][constants.VERIFY]
    desk.reads, desk.answer = 0, BROKEN
    assert desk.run("before").exit_code == 1
    assert desk.stored["metadata"]["annotations"][constants.VERIFY] != first


def test_only_the_question_is_written(make: Make) -> None:
    desk = make()
    desk.run("before")
    assert [call for call in desk.kube.calls if call[0] != "get"] == [("merge", "Checkpoint", "before")]


def test_an_operator_that_does_not_answer(make: Make) -> None:
    done = make(None).run("before", "--timeout", "50ms")
    assert done.exit_code == 1
    assert "no answer about Checkpoint before" in done.stderr
    assert "is the operator running?" in done.stderr


def test_there_is_none(make: Make) -> None:
    done = make().run("other", "-n", "elsewhere")
    assert (done.exit_code, done.stderr) == (1, "penstock: there is no Checkpoint other in namespace elsewhere\n")


@pytest.mark.parametrize("phase", ["Cleared", "Creating", "Failed"])
def test_one_without_data(make: Make, phase: str) -> None:
    done = make(phase=phase).run("before")
    assert (done.exit_code, f"Checkpoint before is {phase}" in done.stderr) == (1, True)


def test_one_that_goes_while_it_is_looked_at(make: Make) -> None:
    desk = make(None)

    def cleared(verb: str, _kind: str, _name: str) -> None:
        if verb == "merge":
            desk.stored["status"]["phase"] = "Cleared"

    desk.kube.before = cleared
    done = desk.run("before")
    assert (done.exit_code, "has gone meanwhile" in done.stderr) == (1, True)


def test_a_user_who_may_not_ask(make: Make) -> None:
    desk = make()

    def forbidden(verb: str, _kind: str, _name: str) -> None:
        if verb == "merge":
            raise Refused("checkpoints is forbidden", "Forbidden", 403)

    desk.kube.before = forbidden
    done = desk.run("before")
    assert (done.exit_code, done.stderr) == (1, "penstock: checkpoints is forbidden\n")


@pytest.mark.parametrize("given", ["./somewhere/_metadata", "/somewhere/x"])
def test_what_is_neither_a_name_nor_in_s3(make: Make, given: str) -> None:
    done = make().run(given)
    assert (done.exit_code, "neither the name of a Checkpoint nor an s3:// URI" in done.stderr) == (2, True)


def test_a_time_that_is_none(make: Make) -> None:
    assert make().run("before", "--timeout", "soon").exit_code == 2
