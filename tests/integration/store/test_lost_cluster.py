"""`penstock adopt` and `penstock rebuild` against a real S3 server, as a user calls them; Kubernetes is a dict."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from penstock.build.checkpoint import note
from penstock.cli import cluster
from penstock.cli import main as cli
from penstock.store.client import ObjectStore
from tests.integration.store.conftest import REGION, Server
from tests.integration.store.test_client import put
from tests.unit.builders import HOME, NAMESPACE, checkpoint, savepoint, store_manifest, uid
from tests.unit.fakes import FakeKube
from tests.unit.inventory.lake import metadata
from tests.unit.stage import CLUSTER, MARK, OTHER_CLUSTER, SYSTEM


async def test_a_new_cluster_takes_over_the_store_and_makes_its_checkpoints_anew(
    s3: Callable[..., ObjectStore], s3_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("AWS_ACCESS_KEY_ID", s3_server.key), ("AWS_SECRET_ACCESS_KEY", s3_server.secret)):
        monkeypatch.setenv(name, value)
    kube, store = FakeKube(SYSTEM, store_manifest()), s3()
    before = [checkpoint("before", 1, "Present", description="ä word"), checkpoint("stop", 2, "Present", source="Stop")]
    for number, each in enumerate(before, 1):
        target = f"{HOME}savepoints/{uid(number)}/"
        files = {f"{target}penstock.json": json.dumps(note(each)).encode()}
        files[f"{store.place.key_of(savepoint(number))}/_metadata"] = metadata({}, number)
        put(store, files.items())
    put(store, [(MARK, json.dumps({"cluster": OTHER_CLUSTER}).encode())])

    async def configuration(*_: Any) -> None:
        return None

    monkeypatch.setattr(cluster, "Kube", lambda *_: kube)
    monkeypatch.setattr(cluster, "load_user_configuration", configuration)

    async def run(*words: str) -> Result:
        where = ["--endpoint", f"http://127.0.0.1:{s3_server.port}", "--region", REGION]
        call = CliRunner().invoke
        return await asyncio.to_thread(call, cli.penstock, [*words, *where], prog_name="penstock")

    refused = await run("rebuild", NAMESPACE, "--yes")
    assert (refused.exit_code, kube.of("Checkpoint")) == (1, {})
    done = await run("adopt", "main", "--from", OTHER_CLUSTER, "--yes")
    assert done.exit_code == 0, done.output
    assert ((await store.read_json(MARK)) or {})["cluster"] == CLUSTER
    done = await run("rebuild", NAMESPACE, "--yes")
    assert done.exit_code == 0, done.output
    made = {name: each["spec"] for name, each in kube.of("Checkpoint").items()}
    assert {name: (each["source"], each["description"]) for name, each in made.items()} == {
        "before": ("Manual", "ä word"),
        "stop": ("Stop", ""),
    }
    # Until the operator has found them they are somebody's all the same: the annotation names their places.
    done = await run("orphans", "main")
    assert (done.exit_code, done.stdout) == (0, "nothing in main belongs to nobody\n")
