"""`penstock orphans` against a real S3 server, as a user calls it; Kubernetes is a dict."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result

from penstock import clock
from penstock.api.base import dump
from penstock.cli import cluster
from penstock.cli import main as cli
from penstock.store.client import ObjectStore
from tests.integration.store.conftest import REGION, Server
from tests.integration.store.test_client import put
from tests.unit.builders import HOME, PLACE, checkpoint, job, live, store_manifest, uid
from tests.unit.fakes import FakeKube
from tests.unit.inventory.lake import RUNS, metadata
from tests.unit.stage import CLUSTER, MARK, SYSTEM

WHOLE, PARTIAL = (f"{HOME}savepoints/{uid(number)}/" for number in (2, 3))
ENDED = f"{HOME}checkpoints/{RUNS[3]}/"


def files(number: int) -> dict[str, bytes]:
    inside = f"{HOME}savepoints/{uid(number)}/savepoint-aaaaaa-{number:012x}/"
    return {f"{inside}x": bytes(1000), f"{inside}_metadata": metadata({f"{inside}x": 1000})}


@pytest.fixture
def orphans(
    s3: Callable[..., ObjectStore], s3_server: Server, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[ObjectStore, Result]]:
    """Run the command on a bucket with one savepoint that is owned and three orphans, a day old."""
    for name, value in (("AWS_ACCESS_KEY_ID", s3_server.key), ("AWS_SECRET_ACCESS_KEY", s3_server.secret)):
        monkeypatch.setenv(name, value)
    kube = FakeKube(SYSTEM, store_manifest(), dump(job(live())), dump(checkpoint("owned", 1, "Present")))
    store, filled = s3(), clock.now()
    mark = json.dumps({"cluster": CLUSTER}).encode()
    left = {f"{PARTIAL}savepoint-x/{n:05}": b"x" for n in range(1500)} | {f"{ENDED}shared/a": bytes(50), MARK: mark}
    put(store, (files(1) | files(2) | left).items())

    async def configuration(*_: Any) -> None:
        return None

    monkeypatch.setattr(cluster, "Kube", lambda *_: kube)
    monkeypatch.setattr(cluster, "load_user_configuration", configuration)

    def run(*options: str, hours: int = 25) -> tuple[ObjectStore, Result]:
        monkeypatch.setattr(clock, "now", lambda: filled + timedelta(hours=hours))
        where = ["--endpoint", f"http://127.0.0.1:{s3_server.port}", "--region", REGION]
        return store, CliRunner().invoke(cli.penstock, ["orphans", "main", *where, *options], prog_name="penstock")

    return run


async def left(store: ObjectStore) -> set[str]:
    return {item.key for item in await store.list("") if not item.key.endswith("/")}


async def in_a_thread(run: Callable[..., tuple[ObjectStore, Result]], *options: str, **more: Any) -> Any:
    """The command has an event loop of its own."""
    return await asyncio.to_thread(run, *options, **more)


async def test_what_nobody_owns_is_listed_and_goes_and_the_rest_stays(orphans: Any) -> None:
    store, listed = await in_a_thread(orphans, "-o", "json")
    assert listed.exit_code == 0, listed.output
    found = {each["location"]: each["keys"] for each in json.loads(listed.stdout)["orphans"]}
    assert found == {PLACE.uri(ENDED): 1, PLACE.uri(WHOLE): 2, PLACE.uri(PARTIAL): 1500}
    _, done = await in_a_thread(orphans, "--remove", "--yes")
    assert done.exit_code == 0, done.output
    assert await left(store) == {MARK, *files(1), *files(2)}
    _, done = await in_a_thread(orphans, PLACE.uri(WHOLE), "--remove", "--yes")
    assert done.exit_code == 0, done.output
    assert await left(store) == {MARK, *files(1)}


async def test_nothing_that_is_a_few_hours_old_goes(orphans: Any) -> None:
    store, _ = await in_a_thread(orphans)
    before = await left(store)
    _, done = await in_a_thread(orphans, "--remove", "--yes", hours=23)
    assert (done.exit_code, done.stdout) == (0, "removed 0, 0 B; 3 left\n")
    assert await left(store) == before


async def test_the_bucket_of_another_cluster_is_left_alone(orphans: Any) -> None:
    store, _ = await in_a_thread(orphans)
    before = await left(store)
    put(store, [(MARK, json.dumps({"cluster": "another"}).encode())])
    _, done = await in_a_thread(orphans, "--remove", "--yes")
    assert done.exit_code == 1
    assert "marks this place as that of cluster another" in done.stderr
    assert await left(store) == before
