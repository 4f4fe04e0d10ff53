"""`penstock verify` against a real S3 server, as a user calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from penstock.cli import main as cli
from penstock.store.client import ObjectStore
from tests.integration.store.conftest import REGION, Server
from tests.integration.store.test_client import put
from tests.unit.inventory.lake import chk, metadata, shared

FILES = {shared("a"): 10, shared("b"): 20, f"{chk(7)}own": 30}


@pytest.fixture
def verify(
    s3: Callable[..., ObjectStore], s3_server: Server, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[ObjectStore, Result]]:
    """Put a checkpoint into the store, without some of its files, and verify it."""
    for name, value in (("AWS_ACCESS_KEY_ID", s3_server.key), ("AWS_SECRET_ACCESS_KEY", s3_server.secret)):
        monkeypatch.setenv(name, value)

    def run(sizes: dict[str, int], *options: str, location: str = "") -> tuple[ObjectStore, Result]:
        store = s3()
        put(store, [(f"{chk(7)}_metadata", metadata(FILES, 7)), *((key, bytes(size)) for key, size in sizes.items())])
        where = location or store.place.uri(chk(7))
        given = ["verify", where, "--endpoint", f"http://127.0.0.1:{s3_server.port}", "--region", REGION, *options]
        return store, CliRunner().invoke(cli.penstock, given, prog_name="penstock")

    return run


def test_a_whole_one(verify: Any) -> None:
    store, done = verify(FILES)
    assert done.exit_code == 0, done.output
    assert f"Location:   {store.place.uri(chk(7)).rstrip('/')}\n" in done.stdout
    assert "Whole:      yes\n" in done.stdout
    assert "Found:      all 4 files are there, " in done.stdout


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_one_with_a_file_missing_and_one_too_short(verify: Any, form: str) -> None:
    _, done = verify({shared("a"): 10, f"{chk(7)}own": 29}, "-o", form)
    assert done.exit_code == 1
    content = json.loads(done.stdout) if form == "json" else yaml.safe_load(done.stdout)
    assert (content["whole"], content["files"], content["missing"]) == (False, 4, 2)
    assert content["firstMissing"] == [f"{chk(7)}own (29 of 30 bytes)", f"{shared('b')} (missing)"]


def test_one_that_is_not_there(verify: Any) -> None:
    _, done = verify(FILES, location="s3://checkpoints/team/flights/nothing/chk-1")
    assert done.exit_code == 1
    assert "its _metadata cannot be read: there is none" in done.stdout


@pytest.mark.parametrize("location", ["/mnt/chk-1", "gs://bucket/chk-1"])
def test_only_s3_is_looked_at(location: str) -> None:
    done = CliRunner().invoke(cli.penstock, ["verify", location], prog_name="penstock")
    assert done.exit_code == 2
    assert done.stderr.startswith("penstock: ")
