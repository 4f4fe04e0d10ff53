"""A cluster and a store behind the command line, both of them dicts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result

from penstock import clock
from penstock.api.base import dump
from penstock.cli import cluster
from penstock.cli import main as cli
from penstock.kube.resources import resource_of
from tests.unit.builders import checkpoint, job, live, store_manifest
from tests.unit.cli import follower
from tests.unit.cli.follower import Make
from tests.unit.fakes import MODIFIED, FakeKube, Manifest
from tests.unit.inventory.lake import Lake
from tests.unit.stage import CLUSTER, MARK, SYSTEM

SECRET: Manifest = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "s3", "namespace": "penstock-system"},
    "data": {"accessKeyId": "YQ==", "secretAccessKey": "Yg=="},
}


@dataclass
class Desk:
    """What a user of `penstock` sits in front of."""

    kube: FakeKube = field(
        default_factory=lambda: FakeKube(
            SYSTEM,
            SECRET,
            store_manifest(credentials={"secretRef": {"name": "s3"}}),
            dump(job(live())),
            dump(checkpoint("owned", 1, "Present")),
        )
    )
    lake: Lake = field(default_factory=lambda: Lake({MARK: {"cluster": CLUSTER, "store": "main"}}))
    now: datetime = MODIFIED + timedelta(hours=25)
    accesses: list[Any] = field(default_factory=list)
    configurations: list[tuple[Any, ...]] = field(default_factory=list)

    def put(self, *manifests: Manifest) -> None:
        for manifest in manifests:
            self.kube._put(resource_of(manifest), manifest)

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli.penstock, list(arguments), prog_name="penstock")

    @property
    def changed(self) -> list[str]:
        """What was written to Kubernetes or to the store."""
        verbs = ("create", "apply", "replace", "status", "merge", "delete")
        return [f"{verb} {kind} {name}" for verb, kind, name in self.kube.calls if verb in verbs] + [
            f"{verb} {key}" for verb, key in self.lake.calls if verb in ("write", "delete")
        ]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk()

    def opened(access: Any) -> Lake:
        made.accesses.append(access)
        return made.lake

    async def configuration(*given: Any) -> None:
        made.configurations.append(given)

    monkeypatch.setattr(cluster, "Kube", lambda *_: made.kube)
    monkeypatch.setattr(cluster, "load_user_configuration", configuration)
    monkeypatch.setattr(cluster, "ObjectStore", opened)
    monkeypatch.setattr(clock, "now", lambda: made.now)
    return made


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    """A desk with a StreamJob that runs well, or with another one, and with other objects."""
    return lambda act=None, stored=None, *others: follower.Desk(monkeypatch, stored or job(live()), act, *others)
