"""What an end-to-end test does as a user and as an adversary: kubectl, and looks at the topics."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from demo import check, data, oracle
from demo.topic import Record
from tests.direct import Direct

ROOT = Path(__file__).parents[2]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]
_DEMO = "penstock-demo"
_OVER_SECONDS = 20
"""Longer than the operator needs to begin with a changed spec: a pass comes each 10 s at least."""


class Lab:
    """One namespace with Kafka, S3, a store and what the test makes in it."""

    def __init__(self, kubectl: Kubectl, namespace: str, kubeconfig: str) -> None:
        self._kubectl = kubectl
        self._direct = Direct(kubeconfig)
        self.kubeconfig = kubeconfig
        self.namespace = namespace
        self._began = time.monotonic()
        self._over: dict[str, float] = {}
        """Since when jobs have been seen to have failed."""
        self._stores: dict[str, Any] = {}
        """Clients of the S3 server, by its pod's address: to make one takes longer than to ask."""

    def say(self, text: str) -> None:
        """A line for whoever reads the test's output, with the seconds since the lab was opened."""
        print(f"[{time.monotonic() - self._began:6.1f} s] {text}", flush=True)

    def kubectl(self, *arguments: str, **options: Any) -> str:
        """kubectl in the lab's namespace."""
        return str(self._kubectl("-n", self.namespace, *arguments, **options).stdout)

    def penstock(self, *arguments: str, expect: int = 0, seconds: float = 120) -> str:
        """The `penstock` command in the lab's namespace, as a user types it: what it says on stdout, or on stderr."""
        words = (
            sys.executable,
            "-m",
            "penstock.cli",
            *arguments,
            "-n",
            self.namespace,
            "--kubeconfig",
            self.kubeconfig,
        )
        path = {"PYTHONPATH": str(ROOT / "operator")}
        done = subprocess.run(
            words, env=os.environ | path, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert done.returncode == expect, f"{' '.join(arguments)}: {done.returncode}, {done.stdout}{done.stderr}"
        return done.stdout or done.stderr

    def apply(self, name: str, edit: Callable[[str], str] = lambda text: text) -> None:
        """Apply a manifest of the repository, moved into the lab's namespace and store."""
        text = (ROOT / name).read_text().replace(_DEMO, self.namespace)
        text = text.replace("name: demo-store", f"name: {self.namespace}").replace(
            "store: demo", f"store: {self.store}"
        )
        text = text.replace(
            "kind: CheckpointStore\nmetadata:\n  name: demo", f"kind: CheckpointStore\nmetadata:\n  name: {self.store}"
        )
        self._kubectl("apply", "--server-side", "-f", "-", given=edit(text))

    def create(self, manifest: dict[str, Any]) -> None:
        """Apply an object."""
        manifest["metadata"].setdefault("namespace", self.namespace)
        self._kubectl("apply", "--server-side", "-f", "-", given=manifest)

    def create_cluster_wide(self, manifest: dict[str, Any]) -> None:
        """Apply an object that has no namespace."""
        self._kubectl("apply", "--server-side", "-f", "-", given=manifest)

    @property
    def store(self) -> str:
        """Name of the lab's CheckpointStore."""
        return self.namespace

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object, {} when there is none."""
        return self._direct.get(kind, self.namespace, name)

    def items(self, kinds: str, *, labels: str = "", fields: str = "", namespace: str = "") -> list[dict[str, Any]]:
        """Objects of a kind, or of several with commas between them."""
        return self._direct.items(kinds, namespace or self.namespace, labels=labels, fields=fields)

    def checkpoints(self, job: str = "flights", source: str = "") -> list[dict[str, Any]]:
        """The job's Checkpoints, or those of one source only. The namespace holds those of other tests, too."""
        own = [each for each in self.items("checkpoints") if each["spec"]["jobRef"]["name"] == job]
        return [each for each in own if source in ("", each["spec"].get("source"))]

    def job(self, name: str = "flights") -> dict[str, Any]:
        """The StreamJob's status."""
        return dict(self.get("streamjob", name).get("status") or {})

    def patch(self, spec: dict[str, Any], name: str = "flights") -> None:
        """Change a StreamJob's spec as a user does."""
        self.kubectl("patch", "streamjob", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def until(self, what: str, ask: Callable[[], Any], seconds: float = 180, every: float = 0.5) -> Any:
        """Wait until something is so; the answer. Fails with what was waited for, and what there is."""
        deadline = time.monotonic() + seconds
        while True:
            answer = ask()
            if answer:
                self.say(what)
                return answer
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds} s in vain: {what}\n{self.describe()}")
            time.sleep(every)

    def describe(self) -> str:
        """What there is in the lab, for whoever looks for the cause of a failure."""
        tables = [self.kubectl("get", kinds, "-o", "wide") for kinds in ("pods,streamjobs", "checkpoints")]
        warned = self.kubectl("get", "events", "--field-selector=type=Warning", "--sort-by=.lastTimestamp")
        statuses = {each["metadata"]["name"]: each.get("status") for each in self.items("streamjobs")}
        told = json.dumps(statuses, indent=1)
        return "\n".join((tables[0], "\n".join(warned.splitlines()[-20:]), tables[1], told))

    def present(self, name: str) -> dict[str, Any] | None:
        """The status of a Checkpoint when it is Present; fails at once when it can become so no more."""
        status = dict(self.get("checkpoint", name).get("status") or {})
        assert status.get("phase") not in ("Failed", "Timeout", "Cleared"), f"{name} will not be Present: {status}"
        return status if status.get("phase") == "Present" else None

    def take(self, name: str, job: str, seconds: float = 180, **spec: Any) -> dict[str, Any]:
        """Ask for a Checkpoint as `kubectl apply` does, and wait until it is Present; its status."""
        kind = {"apiVersion": "penstock.dev/v1alpha1", "kind": "Checkpoint"}
        self.create(kind | {"metadata": {"name": name}, "spec": {"jobRef": {"name": job}, **spec}})
        return dict(self.until(f"{name} is Present", lambda: self.present(name), seconds, every=0.2))

    def runs(self, name: str = "flights") -> dict[str, Any] | None:
        """The status when the job runs as its spec asks, confirmed by Flink; fails at once when it has failed."""
        found = self.get("streamjob", name)
        status = found.get("status") or {}
        fresh = status.get("observedGeneration") == found.get("metadata", {}).get("generation")
        told = {each["type"]: each["status"] for each in status.get("conditions", [])}
        # A change that the operator still looks at is under way, though the job is as it should be.
        moving = told.get("Reconciling") == "True"
        ready = told.get("Ready") == "True" and not moving
        over = fresh and not moving and told.get("Ready") == "False" and status.get("state") == "Failed"
        self._fail_when_over(name, over=over)
        return status if fresh and ready and status.get("state") == "Running" else None

    def _fail_when_over(self, name: str, *, over: bool) -> None:
        """A job that has failed, and of whose newest spec nothing is begun for so long, will not run."""
        if not over:
            self._over.pop(name, None)
            return
        since = self._over.setdefault(name, time.monotonic())
        assert time.monotonic() < since + _OVER_SECONDS, f"{name} will not run: {json.dumps(self.job(name), indent=1)}"

    def completes(self, after: int, name: str = "flights") -> bool:
        """Whether a checkpoint with a number above `after` is complete."""
        latest = self.job(name).get("latestCheckpoint") or {}
        return int(latest.get("checkpointId", -1)) > after

    def latest(self, name: str = "flights") -> int:
        """Number of the newest complete checkpoint."""
        return int((self.job(name).get("latestCheckpoint") or {}).get("checkpointId", 0))

    def newest(self, name: str = "flights") -> int:
        """The same by Flink's own word, which the status of a job at rest may be 10 s behind; -1: none, or no answer.

        That of the state it was started from, as long as there is none of its own.
        """
        pods = [each for each in self.pods("jobmanager", name) if "deletionTimestamp" not in each["metadata"]]
        try:
            url = f"http://{pods[-1]['status']['podIP']}:8081/jobs/{self.job(name)['run']['id']}/checkpoints"
            with urllib.request.urlopen(url, timeout=4) as answer:
                told = json.load(answer)["latest"]
        except (OSError, ValueError, LookupError):
            return -1
        return max((int(told[which]["id"]) for which in ("completed", "restored") if told.get(which)), default=-1)

    def pods(self, component: str, name: str = "flights") -> list[dict[str, Any]]:
        """The live pods of a component of a StreamJob."""
        items = self.items("pods", labels=f"penstock.dev/component={component},penstock.dev/job={name}")
        return [each for each in items if each["status"].get("phase") in ("Pending", "Running")]

    def kill(self, component: str, name: str = "flights") -> None:
        """Kill all pods of a component at once, without a grace."""
        for pod in self.pods(component, name):
            self.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force", "--wait=false")

    # ------------------------------------------------------------ the topics

    def read(self, topic: str) -> list[Record]:
        """Every committed record of a topic."""
        lines = self._tool("demo.read", "--topic", topic)
        return [Record(partition, offset, value.encode()) for partition, offset, value in map(json.loads, lines)]

    def ends(self, topic: str) -> list[int]:
        """The end offset of each partition."""
        return list(json.loads(self._tool("demo.read", "--topic", topic, "--ends")[0]))

    def report(self) -> check.Report:
        """The output topic beside the oracle."""
        return check.compare(oracle.windows(data.load()), self.read("flights-hourly"))

    def _tool(self, module: str, *arguments: str) -> list[str]:
        bootstrap = f"--bootstrap=kafka.{self.namespace}.svc:9092"
        command = ["exec", "deploy/tools", "--", "python3", "-m", module, bootstrap, *arguments]
        return self.kubectl(*command).splitlines()

    # ------------------------------------------------------------ the store

    def s3(self) -> Any:
        """A client of the lab's S3 server, straight to its pod."""
        pod = self.items("pods", labels="app.kubernetes.io/name=versitygw")[0]
        address = str(pod["status"]["podIP"])
        if address not in self._stores:
            self._stores[address] = boto3.client(
                "s3",
                endpoint_url=f"http://{address}:7070",
                aws_access_key_id=self.namespace,
                aws_secret_access_key=f"{self.namespace}-secret",
                region_name="us-east-1",
            )
        return self._stores[address]

    def keys(self, prefix: str = "") -> dict[str, int]:
        """Keys below a prefix of the bucket, with their sizes."""
        pages = self.s3().get_paginator("list_objects_v2").paginate(Bucket="penstock", Prefix=prefix)
        return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}

    def directory(self, name: str) -> str:
        """Key prefix of a StreamJob's directory."""
        return f"demo/{self.namespace}/{name}-{self.get('streamjob', name)['metadata']['uid']}/"

    def condition(self, kind: str, name: str, which: str) -> dict[str, Any]:
        """One condition of an object."""
        conditions = (self.get(kind, name).get("status") or {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == which), {})
