"""`penstock inspect`, from the command line to the text, with local files and with an S3 server of a few lines."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from penstock.cli import main as cli
from penstock.flink.metadata import Kind, Scope
from tests.unit.flink.metadata import writer
from tests.unit.flink.metadata.writer import BASE, MANAGED, Out, bytes_of


def example() -> bytes:
    out = Out()
    out.i32(1)
    out.operator_state(17, ["a"])
    for offset in (0, 20):
        out.segment(f"{BASE}/taskowned/{MANAGED}/m", offset, 20, Kind.OPERATOR, Scope.TASKOWNED, shared=False)
        if offset == 0:
            out.i32(0)
            out.around(3, 2)
    out.around(12, 2)
    out.file(f"{BASE}/shared/a", 100, Kind.KEYED, Scope.SHARED)
    out.handle_id()
    out.i32(1)
    for tag in (1, 2):
        if tag == 2:
            out.i32(1)
        out.u8(tag)
        out.i32(0)
        out.i64(0)
        out.longs(1)
        out.i64(10)
        out.relative("channels", 48, Kind.CHANNEL)
    head = writer.operator_head(6, name="Source: \x1b[31mevents", uid="")
    operator = head + b"\x00" + struct.pack(">ii", 1, 0) + bytes_of(out)
    finished = writer.operator_head(6, number=2, uid="sink") + b"\x00" + struct.pack(">i", -1)
    counts = struct.pack(">i", 1) + writer.master_state("hook", 5) + struct.pack(">i", 2)
    return writer.head(6, 41) + counts + operator + finished + writer.properties()


TABLE = """\
Location:     {directory}/_metadata
Checkpoint:   41, a checkpoint
Version:      6
Metadata:     {size} bytes, of which 5 are state
Files:        3, at least 188 bytes

MASTER STATE   BYTES
hook           5

OPERATOR                           NAME                     UID    PARALLELISM   SUBTASKS   INLINE   REFERENCES
00000000000000000000000000000001   Source: \\x1b[31mevents   -      2/128         1          0        5
00000000000000000000000000000002   Source: events           sink   2/128         finished   0        0
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.penstock, list(arguments), prog_name="penstock")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "chk-41"
    folder.mkdir()
    (folder / "_metadata").write_bytes(example())
    return folder


def test_the_table(checkpoint: Path) -> None:
    done = run("inspect", str(checkpoint))
    assert (done.exit_code, done.stderr) == (0, "")
    expected = TABLE.format(directory=f"file:{checkpoint}", size=len(example()))
    assert done.stdout.startswith(expected + "\nFILE ")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [f"file:{checkpoint}/channels", "48", "exclusive", "channel"] in lines
    assert [f"{BASE}/shared/a", "100", "shared", "keyed"] in lines
    assert [f"{BASE}/taskowned/{MANAGED}/m", ">=40", "taskowned", "operator,keyed"] in lines
    assert lines[-2:] == [[f"{BASE}/taskowned/{MANAGED}"], [f"{BASE}/shared/{MANAGED}"]]


def test_json_and_yaml_say_the_same(checkpoint: Path) -> None:
    done = json.loads(run("inspect", str(checkpoint), "-o", "json").stdout)
    assert yaml.safe_load(run("inspect", str(checkpoint), "--output", "yaml").stdout) == done
    assert done["location"] == f"file:{checkpoint}/_metadata"
    assert (done["checkpointId"], done["version"], done["savepoint"]) == (41, 6, False)
    assert (done["metadataBytes"], done["inlineBytes"]) == (len(example()), 5)
    assert done["properties"]["bytes"] == len(writer.properties())
    assert done["masterStates"] == [{"name": "hook", "version": 1, "bytes": 5}]
    assert done["operators"][1] == {
        "id": f"{2:032x}",
        "name": "Source: events",
        "uid": "sink",
        "parallelism": 2,
        "maxParallelism": 128,
        "subtasks": 0,
        "finishedSubtasks": 0,
        "finished": True,
        "inlineBytes": 0,
        "coordinatorBytes": 0,
        "references": 0,
    }
    assert done["directories"] == [f"{BASE}/taskowned/{MANAGED}", f"{BASE}/shared/{MANAGED}"]
    assert done["files"][-1] == {
        "path": f"{BASE}/taskowned/{MANAGED}/m",
        "bytes": None,
        "atLeastBytes": 40,
        "scope": "taskowned",
        "kinds": ["operator", "keyed"],
        "relative": False,
        "references": 2,
        "segments": [{"offset": 0, "length": 20, "shared": False}, {"offset": 20, "length": 20, "shared": False}],
    }


@pytest.mark.parametrize("form", ["{}", "{}/", "{}/_metadata", "file:{}", "file://{}", "file:{}/_metadata"])
def test_forms_of_a_local_location(checkpoint: Path, form: str) -> None:
    done = run("inspect", form.format(checkpoint), "-o", "json")
    assert json.loads(done.stdout)["location"] == f"file:{checkpoint}/_metadata"


def test_a_relative_path_and_another_name(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkpoint / "_metadata").rename(checkpoint / "copy")
    monkeypatch.chdir(checkpoint)
    assert json.loads(run("inspect", "copy", "-o", "json").stdout)["location"] == f"file:{checkpoint}/copy"


def test_an_empty_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "_metadata").write_bytes(writer.whole(3))
    done = run("inspect", str(tmp_path))
    assert done.stdout.splitlines()[1:] == [
        "Checkpoint:   7",
        "Version:      3",
        "Metadata:     24 bytes, of which 0 are state",
        "Files:        0, at least 0 bytes",
    ]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "Usage: penstock" in done.stdout
    assert "inspect" in done.stdout


def test_help_of_inspect() -> None:
    done = run("inspect", "--help")
    assert done.exit_code == 0
    assert all(word in done.stdout for word in ("LOCATION", "--endpoint", "--region", "--profile", "json", "yaml"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["inspect"], "Missing argument 'LOCATION'. (penstock inspect --help says more)"),
        (["look"], "No such command 'look'. (penstock --help says more)"),
        (["inspect", "x", "-o", "xml"], "Invalid value for '-o' / '--output': 'xml' is not one of "),
        (["inspect", "hdfs://name/x"], "hdfs:// is not read: LOCATION is an s3:// URI or a path on this machine"),
    ],
)
def test_wrong_usage_is_one_sentence_and_2(arguments: list[str], sentence: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"penstock: {sentence}")
    assert done.stderr.count("\n") == 1


def test_what_cannot_be_read_is_one_sentence_and_1(tmp_path: Path) -> None:
    done = run("inspect", str(tmp_path))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"penstock: {tmp_path}/_metadata: No such file or directory\n"
    (tmp_path / "_metadata").write_bytes(example()[:100])
    done = run("inspect", str(tmp_path))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("penstock: byte ")
    assert "the end of the file" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_interrupt_ends_it(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("penstock.cli.inspect.read", interrupted)
    done = run("inspect", str(checkpoint))
    assert (done.exit_code, done.stderr.strip()) == (130, "penstock: interrupted")


@pytest.mark.parametrize(("program", "name"), [("kubectl-penstock", "kubectl penstock"), ("penstock", "penstock")])
def test_both_names_of_the_program(
    program: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", [f"/usr/local/bin/{program}", "inspect", "--help"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"Usage: {name} inspect [OPTIONS] LOCATION")


class _S3(BaseHTTPRequestHandler):
    """GET of one object; any other key is missing, any other bucket forbidden."""

    def do_GET(self) -> None:
        server: Any = self.server
        server.asked.append((self.path, self.headers["Authorization"]))
        if self.path == "/bucket/prefix/chk-41/_metadata":
            status, body = 200, example()
        elif self.path.startswith("/bucket/"):
            status, body = 404, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"
        else:
            status, body = 403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    credentials = tmp_path / "credentials"
    credentials.write_text("[other]\naws_access_key_id = of-the-profile\naws_secret_access_key = y\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _S3)
    server.asked = []
    server.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


LOCATION = "s3://bucket/prefix/chk-41"


@pytest.mark.parametrize("location", [LOCATION, LOCATION + "/", LOCATION + "/_metadata", "s3a" + LOCATION[2:]])
def test_an_object_in_s3(s3: Any, location: str) -> None:
    done = run("inspect", location, "--endpoint", s3.endpoint, "--region", "eu-north-1", "-o", "json")
    assert (done.exit_code, done.stderr) == (0, "")
    directory = location.removesuffix("/_metadata").rstrip("/")
    found = json.loads(done.stdout)
    assert found["location"] == f"{directory}/_metadata"
    assert f"{directory}/channels" in [file["path"] for file in found["files"]]
    ((path, authorization),) = s3.asked
    assert path == "/bucket/prefix/chk-41/_metadata"
    assert "Credential=of-the-environment/" in authorization
    assert "/eu-north-1/s3/" in authorization


def test_a_profile(s3: Any) -> None:
    done = run("inspect", LOCATION, "--endpoint", s3.endpoint, "--profile", "other")
    assert done.exit_code == 0
    assert "Credential=of-the-profile/" in s3.asked[0][1]


@pytest.mark.parametrize(
    ("location", "extra", "sentence"),
    [
        ("s3://bucket/none", [], "s3://bucket/none/_metadata: there is no such object"),
        ("s3://bucket", [], "s3://bucket/_metadata: there is no such object"),
        ("s3://other/x", [], "read x/_metadata in bucket other: AccessDenied no"),
        (LOCATION, ["--profile", "none"], "profile: The config profile (none) could not be found"),
        (LOCATION, ["--endpoint", "nowhere"], "spec.endpoint or spec.region: Invalid endpoint: nowhere"),
        (LOCATION, ["--endpoint", "http://127.0.0.1:9"], "read prefix/chk-41/_metadata in bucket bucket: Endpoint"),
    ],
)
def test_what_s3_refuses_is_one_sentence_and_1(s3: Any, location: str, extra: list[str], sentence: str) -> None:
    done = run("inspect", location, "--endpoint", s3.endpoint, *extra)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"penstock: {sentence}")
    assert done.stderr.count("\n") == 1
