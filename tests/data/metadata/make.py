"""Make the files of this folder anew, with real Flink: `python3 -m tests.data.metadata.make [name ...]`.

It installs Flink 2.3 and 1.20 from the Python Package Index (700 MB) below /tmp/penstock-metadata. For each scenario it
starts a JobManager and a TaskManager on loopback (with the machine's Java 17), runs SQL with keyed state, takes
checkpoints or a savepoint, cancels the job, stops Flink, and keeps the last `_metadata` with a JSON file beside it that
says what was on the disk and what Flink's REST API said. It takes a minute or two a scenario, and 2 GB of memory.
Those with Kafka need Python with confluent-kafka (`.venv/bin/python`), and start a broker from the cached jars.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.images import flink, jars
from cluster.settings import paths
from tests.data.metadata.broker import ADDRESS, RECORDS, broker

HERE = Path(__file__).parent
WORK = Path("/tmp/penstock-metadata")  # noqa: S108 - it is in the paths of the files: the same for everybody
STATE = WORK / "state"
FLINKS = {
    "2.3.0": (flink.REQUIREMENTS, "flink-opt"),
    "1.20.3": (HERE / "flink-1.20-requirements.txt", "flink-1.20"),
}
"""Version to the wheels, and to the jars that they lack."""
REST = "http://127.0.0.1:28081"
PATIENCE_SECONDS = 120

SOURCE = """
CREATE TABLE events (id BIGINT, payload STRING) WITH ('connector' = 'datagen', 'rows-per-second' = '{rate}',
  'fields.id.min' = '1', 'fields.id.max' = '{keys}', 'fields.payload.length' = '50' {more});
CREATE TABLE results (id BIGINT, n BIGINT, payload STRING, PRIMARY KEY (id) NOT ENFORCED)
  WITH ('connector' = 'blackhole');
"""
COUNT = "INSERT INTO results SELECT id, COUNT(*), MAX(payload) FROM events GROUP BY id;"
SLOW_COUNT = """
INSERT INTO results SELECT id, n, {slow} FROM
  (SELECT id, COUNT(*) AS n, MAX(payload) AS payload FROM events GROUP BY id);
""".format(slow="SHA512(" * 40 + "payload" + ")" * 40)  # noqa: S608 - our own text
FOLDER = """
CREATE TABLE lines (id BIGINT, payload STRING) WITH ('connector' = 'filesystem',
  'path' = 'file:///tmp/penstock-metadata/lines', 'format' = 'csv', 'source.monitor-interval' = '1 s');
INSERT INTO results SELECT id, COUNT(*), MAX(payload) FROM
  (SELECT * FROM events UNION ALL SELECT * FROM lines) GROUP BY id;
"""
TOPICS = f"""
CREATE TABLE topics (id BIGINT, payload STRING) WITH ('connector' = 'kafka', 'topic' = 'flights;delays',
  'properties.bootstrap.servers' = '{ADDRESS}', 'properties.group.id' = 'metadata', 'format' = 'json',
  'scan.startup.mode' = 'earliest-offset');
INSERT INTO results SELECT id, COUNT(*), MAX(payload) FROM topics GROUP BY id;
"""  # noqa: S608 - our own text


@dataclass(frozen=True)
class Scenario:
    """What runs, and what is taken of it."""

    what: str
    options: dict[str, str] = field(default_factory=dict)
    insert: str = COUNT
    rate: int = 5000
    keys: int = 2000
    more: str = ""
    checkpoints: int = 2
    savepoint: str = ""
    claimed: bool = False
    versions: tuple[str, ...] = ("2.3.0", "1.20.3")
    ended: str = ""
    """Part of the name of a vertex that must have finished before the checkpoint."""


ROCKSDB = {
    "state.backend.type": "rocksdb",
    "execution.checkpointing.incremental": "true",
    "execution.checkpointing.data-inline-threshold": "4 kb",  # RocksDB's OPTIONS have 20 kB, more or less
}
NEVER_COMPACTED = {"state.backend.rocksdb.compaction.style": "NONE"}
MERGED = {
    "execution.checkpointing.file-merging.enabled": "true",
    "execution.checkpointing.file-merging.across-checkpoint-boundary": "true",
}
CHANGELOG = {
    "state.changelog.enabled": "true",
    "state.changelog.periodic-materialize.interval": "4 s",
    "execution.checkpointing.interval": "1 h",
}
DSTL = {"state.changelog.storage": "filesystem", "state.changelog.dstl.dfs.base-path": f"file://{STATE}/changelog"}
UNALIGNED = {
    "execution.checkpointing.unaligned.enabled": "true",
    "execution.checkpointing.data-inline-threshold": "1 b",
    "taskmanager.memory.segment-size": "8 kb",
}
ON_KAFKA = {"state.backend.type": "hashmap"}
IN_FILES = {"execution.checkpointing.data-inline-threshold": "1 b"}

SCENARIOS = {
    "hashmap": Scenario("state on the heap", {"state.backend.type": "hashmap"}),
    "rocksdb": Scenario("incremental RocksDB, the third checkpoint", ROCKSDB, checkpoints=3),
    "inline": Scenario("state under 20 kB: all of it in the file", {"state.backend.type": "hashmap"}, keys=9),
    "canonical": Scenario("a savepoint in canonical format", ROCKSDB, savepoint="CANONICAL"),
    "native": Scenario("a savepoint in native format", ROCKSDB, savepoint="NATIVE"),
    "merged": Scenario("merged files, across checkpoints", ROCKSDB | MERGED, checkpoints=3),
    "merged-hashmap": Scenario("merged files, state on the heap", {"state.backend.type": "hashmap"} | MERGED),
    "changelog": Scenario("a changelog in files", ROCKSDB | CHANGELOG | DSTL, checkpoints=3),
    "changelog-inline": Scenario(
        "a changelog in the file",
        {"state.backend.type": "hashmap"} | CHANGELOG | {"state.changelog.storage": "memory"},
        rate=2,
        keys=9,
    ),
    "unaligned": Scenario(
        "unaligned, with records in flight", {"state.backend.type": "hashmap"} | UNALIGNED, SLOW_COUNT, rate=1000000
    ),
    "finished": Scenario(
        "one source has ended, another has a coordinator with state",
        {"state.backend.type": "hashmap"},
        FOLDER,
        more=", 'number-of-rows' = '5000'",
        ended="events",
    ),
    "kafka": Scenario("all records of two topics were read", ON_KAFKA, TOPICS, versions=("2.3.0",)),
    "kafka-files": Scenario(
        "the same, each state in a file", ON_KAFKA | IN_FILES, TOPICS, savepoint="NATIVE", versions=("2.3.0",)
    ),
    "kafka-merged": Scenario("the same, merged files", ON_KAFKA | IN_FILES | MERGED, TOPICS, versions=("2.3.0",)),
    "kafka-compressed": Scenario(
        "the same, compressed",
        ON_KAFKA | {"execution.checkpointing.snapshot-compression": "true"},
        TOPICS,
        versions=("2.3.0",),
    ),
    "claimed": Scenario("restored in CLAIM mode: files of another job id", ROCKSDB | NEVER_COMPACTED, claimed=True),
}


def call(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask Flink's REST API."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(REST + path, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        found: dict[str, Any] = json.loads(answer.read() or b"{}")
        return found


def wait(what: str, ask: Any) -> Any:
    """Ask until there is an answer."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        try:
            found = ask()
        except (urllib.error.URLError, ConnectionError):
            found = None
        if found:
            return found
        time.sleep(0.5)
    sys.exit(f"no {what} after {PATIENCE_SECONDS} s; Flink's logs are in {WORK}/log")


def install(version: str) -> Path:
    """A distribution, from the wheels: bin and conf of the one, lib and plugins of the other."""
    home = WORK / f"flink-{version}"
    requirements, lacking = FLINKS[version]
    if not home.exists():
        print(f"installing Flink {version}", flush=True)
        uv = shutil.which("uv") or str(Path.home() / ".cache/penstock/uv/bin/uv")
        command = [uv, "pip", "install", "-q", "--no-deps", "--require-hashes", "--python-version", "3.11"]
        subprocess.run([*command, "--target", f"{home}.new", "-r", requirements], check=True)
        for script in Path(f"{home}.new/pyflink/bin").iterdir():
            script.chmod(0o755)
        for jar in jars.fetch(paths(), lacking):
            shutil.copy(jar, f"{home}.new/pyflink/opt")
        Path(f"{home}.new").rename(home)
    return home / "pyflink"


def configure(home: Path, options: dict[str, str]) -> Path:
    """A configuration directory: the distribution's Java options, everything on loopback, the scenario's options."""
    folder = WORK / "conf"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(home / "conf", folder)
    java = next(line for line in (folder / "config.yaml").read_text().splitlines() if line.strip().startswith("all: -"))
    settings = {
        "env.java.opts.all": java.partition("all: ")[2],
        "jobmanager.rpc.address": "127.0.0.1",
        "jobmanager.bind-host": "127.0.0.1",
        "jobmanager.rpc.port": "28123",
        "jobmanager.memory.process.size": "900m",
        "taskmanager.host": "127.0.0.1",
        "taskmanager.bind-host": "127.0.0.1",
        "taskmanager.numberOfTaskSlots": "2",
        "taskmanager.memory.process.size": "1200m",
        "rest.address": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
        "rest.port": REST.rpartition(":")[2],
        "execution.target": "remote",
        "parallelism.default": "2",
        "pipeline.max-parallelism": "8",
        "execution.checkpointing.interval": "1 h",
        "execution.checkpointing.dir": f"file://{STATE}/checkpoints",
        "execution.checkpointing.num-retained": "1",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "web.cancel.enable": "true",
        "web.submit.enable": "false",
    }
    lines = [f"{key}: '{value}'" for key, value in (settings | options).items()]
    (folder / "config.yaml").write_text("\n".join(lines) + "\n")
    return folder


@contextmanager
def running(home: Path, options: dict[str, str]) -> Iterator[dict[str, str]]:
    """A JobManager and a TaskManager; gives the environment for Flink's other programs."""
    environment = dict(os.environ) | {
        "FLINK_HOME": str(home),
        "FLINK_CONF_DIR": str(configure(home, options)),
        "FLINK_LOG_DIR": str(WORK / "log"),
        "FLINK_PID_DIR": str(WORK / "log"),
    }
    (WORK / "log").mkdir(exist_ok=True)
    programs = []
    try:
        for name in ("jobmanager", "taskmanager"):
            with (WORK / "log" / f"{name}.out").open("wb") as log:
                programs.append(
                    subprocess.Popen(
                        [home / "bin" / f"{name}.sh", "start-foreground"],
                        env=environment,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
        wait("TaskManager", lambda: call("GET", "/overview").get("slots-total") == 2)
        yield environment
    finally:
        for program in reversed(programs):
            os.killpg(program.pid, signal.SIGTERM)
            program.wait(60)


def submit(home: Path, environment: dict[str, str], scenario: Scenario, settings: str = "") -> str:
    """Run the SQL; gives the job's id."""
    script = WORK / "job.sql"
    script.write_text(
        settings + SOURCE.format(rate=scenario.rate, keys=scenario.keys, more=scenario.more) + scenario.insert
    )
    before = {job["id"] for job in call("GET", "/jobs")["jobs"]}
    with (WORK / "log" / "sql-client.out").open("wb") as log:
        subprocess.run([home / "bin/sql-client.sh", "-f", script], env=environment, check=True, stdout=log, stderr=log)
    (job,) = wait("job", lambda: {job["id"] for job in call("GET", "/jobs")["jobs"]} - before)
    wait("running tasks", lambda: _runs(job))
    time.sleep(4)
    return str(job)


def _runs(job: str) -> bool:
    vertices = call("GET", f"/jobs/{job}")["vertices"]
    return all(vertex["status"] in ("RUNNING", "FINISHED") for vertex in vertices)


def _ended(job: str, name: str) -> bool:
    vertices = call("GET", f"/jobs/{job}")["vertices"]
    return all(vertex["status"] == "FINISHED" for vertex in vertices if name in vertex["name"])


def take(job: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Take a checkpoint or a savepoint; gives what Flink says of it."""
    trigger = call("POST", f"/jobs/{job}/{path}", body)["request-id"]
    answer = wait(path, lambda: _done(call("GET", f"/jobs/{job}/{path}/{trigger}")))
    if "failure-cause" in answer:
        sys.exit(answer["failure-cause"]["stack-trace"])
    return dict(wait("statistics", lambda: _statistics(job, answer)))  # Flink shows them some seconds later


def _statistics(job: str, answer: dict[str, Any]) -> dict[str, Any] | None:
    latest = call("GET", f"/jobs/{job}/checkpoints")["latest"]
    both = [latest[kind] for kind in ("completed", "savepoint") if latest[kind]]
    wanted = answer.get("checkpointId"), answer.get("location")
    return next((each for each in both if each["id"] == wanted[0] or each["external_path"] == wanted[1]), None)


def _done(answer: dict[str, Any]) -> dict[str, Any] | None:
    return dict(answer["operation"]) if answer["status"]["id"] == "COMPLETED" else None


def cancel(job: str) -> None:
    """Cancel a job, and wait for its end."""
    call("PATCH", f"/jobs/{job}?mode=cancel")
    wait("end of the job", lambda: call("GET", f"/jobs/{job}")["state"] == "CANCELED")


def run(version: str, name: str, scenario: Scenario) -> None:
    """Run one scenario, and keep its files."""
    home = install(version)
    shutil.rmtree(STATE, ignore_errors=True)
    STATE.mkdir(parents=True)
    (WORK / "lines").mkdir(exist_ok=True)
    (WORK / "lines" / "a.csv").write_text("".join(f"{number},a line\n" for number in range(1000)))
    kafka, settings = scenario.insert is TOPICS, ""
    if kafka:
        (connector,) = (jar for jar in jars.fetch(paths(), "demo-lib") if "connector-kafka" in jar.name)
        settings = f"ADD JAR 'file://{connector}';\n"
    with broker(WORK) if kafka else nullcontext(), running(home, scenario.options) as environment:
        job = submit(home, environment, scenario, settings)
        if scenario.ended:
            take(job, "checkpoints", {"checkpointType": "CONFIGURED"})  # a task ends after a last checkpoint
            wait("end of a task", lambda: _ended(job, scenario.ended))
        for _ in range(1 if scenario.savepoint else scenario.checkpoints):
            time.sleep(2)
            if scenario.savepoint:
                body = {"target-directory": f"file://{STATE}/savepoints", "formatType": scenario.savepoint}
                taken = take(job, "savepoints", body)
            else:
                taken = take(job, "checkpoints", {"checkpointType": "CONFIGURED"})
        if scenario.claimed:
            cancel(job)
            settings = f"SET 'execution.state-recovery.path' = '{taken['external_path']}';\n"
            settings += "SET 'execution.state-recovery.claim-mode' = 'CLAIM';\n"
            job = submit(home, environment, scenario, settings)
            taken = take(job, "checkpoints", {"checkpointType": "CONFIGURED"})
        vertices = call("GET", f"/jobs/{job}")["vertices"]
        cancel(job)
        time.sleep(2)
    keep(version, name, scenario, taken, vertices)


def keep(version: str, name: str, scenario: Scenario, taken: dict[str, Any], vertices: list[dict[str, Any]]) -> None:
    """Copy the `_metadata` file, and write down what is on the disk."""
    directory = taken["external_path"]
    folder = HERE / f"{name}-{version.rpartition('.')[0]}"
    folder.mkdir(exist_ok=True)
    own = Path(directory.removeprefix("file:"))
    shutil.copyfile(own / "_metadata", folder / "_metadata")
    place = own if scenario.savepoint else STATE  # Flink takes a checkpoint by itself at the start
    files = {
        f"file:{path}": path.stat().st_size
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.name != "_metadata"
    }
    facts: dict[str, Any] = {
        "what": scenario.what,
        "flink": version,
        "directory": directory,
        "checkpointId": taken["id"],
        "savepoint": taken["is_savepoint"],
        "stateSize": taken["state_size"],
        "vertices": {vertex["id"]: [vertex["name"], vertex["parallelism"]] for vertex in vertices},
        "files": files,
    }
    if scenario.insert is TOPICS:
        facts["positions"] = {f"{topic}/{partition}": count for (topic, partition), count in RECORDS.items()}
        facts["contents"] = {name: base64.b64encode(Path(name[5:]).read_bytes()).decode() for name in files}
    (folder / "facts.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(f"{folder.name}: {(folder / '_metadata').stat().st_size} bytes, {len(files)} files", flush=True)


def main() -> None:
    """Make the files that are named, or all."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that Flink is stopped then, too
    for version in FLINKS:
        for name, scenario in SCENARIOS.items():
            if version not in scenario.versions:
                continue
            if not sys.argv[1:] or {name, f"{name}-{version.rpartition('.')[0]}"} & set(sys.argv[1:]):
                run(version, name, scenario)


if __name__ == "__main__":
    main()
