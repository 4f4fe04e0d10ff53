"""A user in front of a StreamJob, and an operator that does its part a little later; both of dicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from penstock.cli import following
from penstock.cli import main as cli
from penstock.kube import client
from tests.unit.builders import NAMESPACE
from tests.unit.fakes import FakeKube, Manifest
from tests.unit.world import manifest

Act = Callable[[Manifest], None]


def settle(state: str, ready: str = "True", **status: Any) -> Act:
    """An operator that has seen the change and come to this state."""

    def act(stored: Manifest) -> None:
        stored["status"] |= {"state": state, "observedGeneration": stored["metadata"]["generation"]} | status
        stored["status"]["conditions"] = [{"type": "Ready", "status": ready, "reason": state}]

    return act


def stall(reason: str, message: str) -> Act:
    def act(stored: Manifest) -> None:
        stored["status"] |= {"observedGeneration": stored["metadata"]["generation"]}
        stored["status"]["conditions"] = [{"type": "Stalled", "status": "True", "reason": reason, "message": message}]

    return act


class Desk:
    """A user with a StreamJob, and an operator that does its part at the third look after a change."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stored: Any, act: Act | None, *others: Manifest) -> None:
        self.kube = FakeKube(manifest(stored), *others)
        self.act, self.looks, self.changed = act, 0, False
        self.kube.before = self._before

        async def configuration(*_: Any) -> None:
            return None

        merge = self.kube.merge

        async def merged(resource: Any, namespace: str | None, name: str, patch: Manifest) -> Manifest:
            live = self.kube.of(resource.kind)[name]
            live["spec"] = _merged(live["spec"], patch.get("spec", {}))
            live["metadata"]["generation"] += 1
            self.changed = True
            return await merge(resource, namespace, name, patch)

        monkeypatch.setattr(self.kube, "merge", merged)
        monkeypatch.setattr(client, "Kube", lambda *_: self.kube)
        monkeypatch.setattr(client, "load_user_configuration", configuration)
        monkeypatch.setattr(client, "user_namespace", lambda *_: NAMESPACE)
        monkeypatch.setattr(following, "_EVERY_SECONDS", 0.01)

    @property
    def job(self) -> Manifest:
        return self.kube.of("StreamJob")["flights"]

    def _before(self, verb: str, kind: str, _name: str) -> None:
        if (verb, kind) == ("get", "StreamJob") and self.changed:
            self.looks += 1
            if self.looks == 3 and self.act is not None:
                self.act(self.job)

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli.penstock, list(arguments), prog_name="penstock")


def _merged(into: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    found = dict(into) if isinstance(into, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = _merged(found.get(key), value)
    return found


Make = Callable[..., Desk]
