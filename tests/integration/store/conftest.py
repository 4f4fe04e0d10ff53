"""A real S3 server: versitygw as a process of this test run, over a directory that is lost with it."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster import gobuild
from cluster.settings import paths
from penstock.store.client import Access, ObjectStore
from tests.unit.builders import PLACE

REGION = "us-east-1"


@pytest.fixture(scope="session")
def s3_program() -> Path:
    """The server, built when the cache has none."""
    return gobuild.build(paths(), gobuild.VERSITYGW)


@dataclass(frozen=True)
class Server:
    """Where it listens, who may use it, and the directory that it serves."""

    port: int
    key: str
    secret: str
    folder: Path
    process: int


@pytest.fixture(scope="session")
def s3_server(s3_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, ended by its process id."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "data").mkdir()
    key, secret = secrets.token_hex(8), secrets.token_hex(16)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"ROOT_ACCESS_KEY": key, "ROOT_SECRET_KEY": secret}
    arguments = ["--port", f"127.0.0.1:{port}", "--region", REGION, "--health", "/health", "--quiet"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [s3_program, *arguments, "posix", str(folder / "data")], env=env, stdout=log, stderr=log, cwd=folder
        )
    try:
        _wait(server, port, folder / "log")
        yield Server(port, key, secret, folder / "data", server.pid)
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def s3(s3_server: Server) -> Iterator[Callable[..., ObjectStore]]:
    """Clients of a fresh bucket: `s3()`, or with something changed, `s3(endpoint="...")`."""
    bucket = s3_server.folder / PLACE.bucket
    bucket.mkdir()

    def client(**change: Any) -> ObjectStore:
        endpoint = f"http://127.0.0.1:{s3_server.port}"
        given = {"endpoint": endpoint, "access_key": s3_server.key, "secret_key": s3_server.secret} | change
        return ObjectStore(Access(PLACE, region=REGION, path_style=True, **given))

    yield client
    shutil.rmtree(bucket)


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"versitygw does not answer: {log.read_text()[-500:]}")
