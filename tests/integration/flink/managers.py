"""JobManagers for the contract of Flink's REST API: real ones in the test cluster, and the crash harness's fake."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from aiohttp import web

from penstock import names
from penstock.api.meta import ObjectMeta
from penstock.api.store import CheckpointStore
from penstock.api.streamjob import StreamJobSpec
from penstock.build import run as build
from penstock.build.account import flink_account
from penstock.build.context import RunContext
from penstock.store.layout import Place
from tests.crash.flink import Flink, Job
from tests.quick import QUICK, SCRIPTS_TOO

ROOT = Path(__file__).parents[3]
Kubectl = Callable[..., Any]
_SCRIPT = """\
CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '10');
CREATE TABLE counts (parity BIGINT, n BIGINT, PRIMARY KEY (parity) NOT ENFORCED) WITH ('connector' = 'blackhole');
INSERT INTO counts SELECT MOD(n, 2), COUNT(*) FROM numbers GROUP BY MOD(n, 2);
"""
_START_SECONDS = 120


@dataclass(frozen=True)
class Manager:
    """One JobManager with one job."""

    base: str
    run: str
    savepoints: str
    """Where its savepoints are to go, without a slash at the end."""

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Status and body of a request; the path follows `/jobs/<run>` unless it begins with a slash."""
        url = f"{self.base}{path}" if path.startswith("/") else f"{self.base}/jobs/{self.run}{path and '/' + path}"
        url = url.replace("/?", "?")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def until(self, path: str, reached: Callable[[int, dict[str, Any]], bool], seconds: float = 60) -> dict[str, Any]:
        """Ask until the answer is so."""
        deadline = time.monotonic() + seconds
        while True:
            status, body = self.ask("GET", path)
            if reached(status, body):
                return body
            assert time.monotonic() < deadline, f"{path}: {status} {json.dumps(body)[:2000]}"
            time.sleep(0.2)

    def runs(self) -> None:
        """Wait until every task runs and a checkpoint is complete."""
        self.until("", lambda _, job: _running(job), _START_SECONDS)
        self.until("checkpoints", lambda _, told: bool((told.get("latest") or {}).get("completed")))

    def polled(self, trigger: str) -> dict[str, Any]:
        """The operation of a trigger when it has ended."""
        done = self.until(f"savepoints/{trigger}", lambda _, told: (told.get("status") or {}).get("id") == "COMPLETED")
        return dict(done["operation"])


def _running(job: dict[str, Any]) -> bool:
    states = [vertex["status"] for vertex in job.get("vertices", [])]
    return job.get("state") == "RUNNING" and bool(states) and set(states) == {"RUNNING"}


class Real:
    """Flink in the test cluster, made of the operator's own objects but without the operator."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self._kubectl, self._namespace = kubectl, namespace
        kubectl("create", "namespace", namespace)
        text = (ROOT / "manifests/demo/s3.yaml").read_text().replace("penstock-demo", namespace)
        kubectl("apply", "--server-side", "-f", "-", given=text)
        kubectl("-n", namespace, "rollout", "status", "deployment/versitygw", "--timeout=50s", seconds=55)

    def start(self, restore_path: str = "", *, behind: str = "", retention: str = "") -> Manager:
        """Start a job and wait for its JobManager.

        Args:
            restore_path: what it is restored from.
            behind: what follows the INSERT in its script.
            retention: what becomes of its checkpoints when it is cancelled, if not what the operator always writes.
        """
        context = self._context(restore_path, behind)
        manifests = [*flink_account(self._namespace), build.permit(context), *build.lasting(context)]
        for manifest in manifests:
            if retention and "config.yaml" in manifest.get("data", {}):
                manifest["data"]["config.yaml"] = manifest["data"]["config.yaml"].replace(
                    "RETAIN_ON_CANCELLATION", retention
                )
            # Without its owner: there is no StreamJob, and the garbage collector would take it for gone.
            manifest["metadata"].pop("ownerReferences", None)
            self._kubectl("apply", "--server-side", "-f", "-", given=manifest)
        address = self._address(context.run)
        savepoints = f"s3://penstock/contract/savepoints-{context.run[:8]}"
        manager = Manager(f"http://{address}:8081", context.run, savepoints)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                manager.ask("GET", "/overview")
            except OSError:
                assert time.monotonic() < deadline, "the JobManager does not listen"
                time.sleep(0.5)
            else:
                return manager

    def _context(self, restore_path: str, behind: str = "") -> RunContext:
        endpoint = f"http://versitygw.{self._namespace}.svc:7070"
        store = {
            "metadata": {"name": "contract", "uid": str(uuid.uuid4())},
            "spec": {
                "endpoint": endpoint,
                "bucket": "penstock",
                "jobCredentials": {"secretName": "versitygw-root"},
                "allowedNamespaces": {"all": True},
            },
        }
        spec = {
            "flink": {"version": "2.3", "configuration": QUICK},
            "job": {"sql": {"script": _SCRIPT + behind}},
            "checkpoints": {"store": "contract", "interval": "2s", "timeout": "20s", "retention": {"numRetained": 2}},
            "podTemplate": SCRIPTS_TOO,
        }
        meta = {"name": "contract", "namespace": self._namespace, "uid": str(uuid.uuid4())}
        return RunContext(
            meta=ObjectMeta.model_validate(meta),
            spec=StreamJobSpec.model_validate(spec),
            store=CheckpointStore.model_validate(store),
            place=Place("penstock", "contract"),
            run=secrets.token_hex(16),
            version=1,
            spec_hash="none",
            restore_from=restore_path,
            started_from="{}",
            operator_image="penstock.dev/operator:dev",
            default_images={"2.3": "penstock.dev/flink-demo:2.3.0"},  # with the S3 plugin
            guarded=True,
        )

    def _address(self, run: str) -> str:
        labels = f"penstock.dev/run={run},penstock.dev/component=jobmanager"
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            told = self._kubectl("-n", self._namespace, "get", "pods", "-l", labels, "-o", "json").stdout
            for pod in json.loads(told)["items"]:
                if pod["status"].get("podIP"):
                    return str(pod["status"]["podIP"])
            time.sleep(0.5)
        raise TimeoutError("the JobManager's pod has no address")

    def end_as_penstock(self, manager: Manager) -> None:
        """Take a job's objects away in place of a cancel: the JobManager first, and the rest when its pod has gone."""
        labels = f"penstock.dev/run={manager.run},penstock.dev/component=jobmanager"
        self._kubectl("-n", self._namespace, "delete", "job", "-l", labels, "--cascade=foreground", "--timeout=60s")
        self._kubectl("-n", self._namespace, "wait", "pod", "-l", labels, "--for=delete", "--timeout=60s")
        self.end(manager)

    def end(self, manager: Manager) -> None:
        """Take a job's objects away."""
        labels = f"penstock.dev/run={manager.run}"
        self._kubectl("-n", self._namespace, "delete", "job,deployment,service,configmap", "-l", labels, "--wait=false")

    def keys(self, location: str) -> list[str]:
        """Keys below an `s3://` location."""
        command = ["-n", self._namespace, "get", "pods", "-l", "app.kubernetes.io/name=versitygw", "-o", "json"]
        pod = json.loads(self._kubectl(*command).stdout)["items"][0]
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{pod['status']['podIP']}:7070",
            aws_access_key_id=self._namespace,
            aws_secret_access_key=f"{self._namespace}-secret",
            region_name="us-east-1",
        )
        prefix = location.removeprefix("s3://penstock/")
        found = client.list_objects_v2(Bucket="penstock", Prefix=prefix).get("Contents", [])
        client.close()
        return [item["Key"] for item in found]

    def close(self) -> None:
        """Delete the namespace."""
        self._kubectl("delete", "namespace", self._namespace, "--wait=false")


class Memory:
    """A bucket as a dict."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes) -> None:
        self.files[key] = data

    async def get(self, key: str) -> bytes | None:
        return self.files.get(key)

    async def keys(self, prefix: str) -> dict[str, int]:
        return {key: len(data) for key, data in self.files.items() if key.startswith(prefix)}

    async def delete(self, keys: list[str]) -> None:
        for key in keys:
            self.files.pop(key, None)


class Fake:
    """The crash harness's fake Flink behind a server of its own."""

    def __init__(self) -> None:
        self._store = Memory()
        self._flink = Flink(self._store)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._port = self._do(self._listen())

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _listen(self) -> int:
        app = web.Application()
        app.router.add_route("*", "/{host}/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    async def _answer(self, request: web.Request) -> web.Response:
        path = "/" + request.raw_path.removeprefix(f"/{request.match_info['host']}/")
        body = await request.json() if request.can_read_body else None
        answer = await self._flink.answer(request.match_info["host"], request.method, path, body)
        assert answer is not None
        return web.json_response(answer[1], status=answer[0])

    def start(self, restore_path: str = "") -> Manager:
        """Start a job."""
        run = secrets.token_hex(16)
        cluster = names.cluster_id("contract", run)
        job = Job(run, cluster, restore_path, "s3://penstock/contract/checkpoints", f"s3://penstock/contract/ha/{run}")
        self._do(self._flink.start(cluster, job))
        savepoints = f"s3://penstock/contract/savepoints-{run[:8]}"
        return Manager(f"http://127.0.0.1:{self._port}/{cluster}", run, savepoints)

    def end(self, manager: Manager) -> None:
        """Kill a JobManager."""
        self._flink.kill(names.cluster_id("contract", manager.run))

    def keys(self, location: str) -> list[str]:
        """Keys below an `s3://` location."""
        prefix = location.removeprefix("s3://penstock/")
        return sorted(key for key in self._store.files if key.startswith(prefix))

    def close(self) -> None:
        """Stop the server."""
        self._do(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
