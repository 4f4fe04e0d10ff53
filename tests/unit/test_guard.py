"""The guard: may this JobManager pod start the run?"""

from __future__ import annotations

import io
import urllib.error
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from penstock import guard
from penstock.guard import REFUSED, Api, decide, high_availability_is_whole, main
from tests.unit.builders import OLD_RUN, RUN

PLAN = {"metadata": {"name": "flights-aaaaaaaa-cluster-config-map"}, "data": {f"executionPlan-{RUN}": "x"}}
POINTERS = {
    "metadata": {"name": f"flights-aaaaaaaa-{RUN}-config-map"},
    "data": {"checkpointID-0000000000000000007": "x"},
}
EMPTY = {"metadata": {"name": f"flights-aaaaaaaa-{RUN}-config-map"}, "data": {"address": "x", "counter": "8"}}
OTHERS = {
    "metadata": {"name": f"flights-bbbbbbbb-{OLD_RUN}-config-map"},
    "data": {"checkpointID-0000000000000000007": "x"},
}

WHOLE: dict[str, tuple[list[dict[str, Any]], bool]] = {
    "plan and pointers": ([PLAN, POINTERS], True),
    "a job graph, as Flink 1.20 names it": (
        [PLAN | {"data": {f"jobGraph-{RUN}": "x", "sessionId": "y"}}, POINTERS],
        True,
    ),
    "the plan alone": ([PLAN], False),
    "the plan and a ConfigMap without a pointer": ([PLAN, EMPTY], False),
    "pointers alone": ([POINTERS], False),
    "nothing": ([], False),
    "the pointers of another run": ([PLAN, OTHERS], False),
    "the plan of another run": ([PLAN | {"data": {f"executionPlan-{OLD_RUN}": "x"}}, POINTERS], False),
    "without data": ([{"metadata": {"name": "x"}}, {"metadata": {"name": RUN}, "data": None}], False),
}


@pytest.mark.parametrize(("config_maps", "whole"), WHOLE.values(), ids=WHOLE)
def test_when_flink_can_go_on_by_itself(config_maps, whole):
    assert high_availability_is_whole(config_maps, RUN) is whole


class FakeApi(Api):
    """The ConfigMaps as a dict; `fails` answers are errors first."""

    def __init__(self, config_maps: list[dict[str, Any]], *, permit: bool, fails: int = 0) -> None:
        self.found, self.fails, self.lost = config_maps, fails, False
        data = {"metadata": {"name": "flights-aaaaaaaa-permit", "resourceVersion": "3"}, "data": {"run": RUN}}
        self.made = data if permit else None

    def get(self, name: str) -> dict[str, Any] | None:
        if self.fails:
            self.fails -= 1
            raise urllib.error.URLError("no answer")
        assert name == "flights-aaaaaaaa-permit"
        return self.made

    def replace(self, config_map: dict[str, Any]) -> bool:
        if self.lost:
            self.lost, self.made = False, config_map
            raise urllib.error.URLError("the answer was lost")
        self.made = config_map
        return True

    def find(self, labels: str) -> list[dict[str, Any]]:
        assert labels == "app=flights-aaaaaaaa"
        return self.found


def ask(api: Api, pod: str = "pod-1") -> int:
    return decide(api, "flights-aaaaaaaa-permit", "app=flights-aaaaaaaa", RUN, pod)[0]


def test_the_permit_allows_one_start():
    api = FakeApi([], permit=True)
    assert [ask(api, f"pod-{number}") for number in range(3)] == [0, REFUSED, REFUSED]
    assert api.made["data"] == {"run": RUN, "used": "pod-0"}
    assert api.made["metadata"]["resourceVersion"] == "3"  # of two that have read it one succeeds


def test_a_pod_that_does_not_say_who_it_is_is_not_taken_for_another():
    """Of a Job that an older operator has made, when a newer image has come under the same tag."""
    api = FakeApi([], permit=True)
    assert [ask(api, ""), ask(api, "")] == [0, REFUSED]


def test_whose_answer_was_lost_knows_that_it_was_the_first():
    """A permit that was deleted was gone then, and the start with it."""
    api = FakeApi([], permit=True)
    api.lost = True
    with pytest.raises(OSError, match="lost"):
        ask(api, "pod-1")
    assert [ask(api, "pod-2"), ask(api, "pod-1")] == [REFUSED, 0]


def test_after_that_only_whole_metadata_allow_a_start():
    api = FakeApi([PLAN, POINTERS], permit=True)
    assert [ask(api, "pod-1"), ask(api, "pod-2")] == [0, 0]
    api.found = [PLAN]
    assert ask(api, "pod-3") == REFUSED


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A pod's service account; returns the pauses that were made."""
    for name in ("namespace", "token", "ca.crt"):
        (tmp_path / name).write_text("flights\n")
    pauses: list[float] = []
    monkeypatch.setattr(guard, "_ACCOUNT", tmp_path)
    monkeypatch.setattr(guard.time, "sleep", pauses.append)
    return pauses


ARGUMENTS = [
    "--permit",
    "flights-aaaaaaaa-permit",
    "--selector",
    "app=flights-aaaaaaaa",
    "--run",
    RUN,
    "--pod",
    "pod-1",
]


def test_an_api_that_does_not_answer_is_asked_again(account, monkeypatch):
    api = FakeApi([], permit=True, fails=3)
    monkeypatch.setattr(guard, "Api", lambda *_: api)
    assert main(ARGUMENTS) == 0
    assert account == [1, 2, 3]


def test_while_nobody_knows_nothing_starts(account, monkeypatch, capsys):
    monkeypatch.setattr(guard, "Api", lambda *_: FakeApi([], permit=True, fails=99))
    assert main(ARGUMENTS) not in (0, REFUSED)
    assert sum(account) >= 240
    assert "does not answer" in capsys.readouterr().out


def test_a_refusal_has_the_exit_code_that_ends_the_job(account, monkeypatch, capsys):
    monkeypatch.setattr(guard, "Api", lambda *_: FakeApi([], permit=False))
    assert main(ARGUMENTS) == REFUSED
    assert "not started again" in capsys.readouterr().out
    assert account == []


@pytest.mark.parametrize(("code", "had"), [(404, False), (403, None), (409, None), (500, None)])
def test_only_a_missing_permit_is_no_permit(monkeypatch, code, had):
    """403 and 500 are not 'there is none': the guard must not take them for an answer."""

    def answer(*_args: object, **_kwargs: object) -> Any:
        raise urllib.error.HTTPError("https://x", code, "no", Message(), io.BytesIO(b"{}"))

    monkeypatch.setattr(guard.ssl, "create_default_context", lambda **_: None)
    monkeypatch.setattr(guard.urllib.request, "urlopen", answer)
    api = Api("host", "flights", "token", "ca")
    if had is None:
        with pytest.raises(OSError, match="no"):
            api.get("permit")
    else:
        assert api.get("permit") is None


def test_the_permit_is_asked_for_where_it_is(monkeypatch):
    asked: list[tuple[str, str]] = []

    def answer(request: Any, **_: object) -> Any:
        asked.append((request.get_method(), request.full_url))
        assert request.get_header("Authorization") == "Bearer token"
        return io.BytesIO(b'{"items": [{"a": 1}]}')

    monkeypatch.setattr(guard.ssl, "create_default_context", lambda **_: None)
    monkeypatch.setattr(guard.urllib.request, "urlopen", answer)
    api = Api("host", "flights", "token", "ca")
    assert api.get("permit")
    assert api.replace({"metadata": {"name": "permit"}})
    assert api.find("app=x,type=y") == [{"a": 1}]
    root = "https://host/api/v1/namespaces/flights/configmaps"
    assert asked == [
        ("GET", f"{root}/permit"),
        ("PUT", f"{root}/permit"),
        ("GET", f"{root}?labelSelector=app%3Dx%2Ctype%3Dy"),
    ]
