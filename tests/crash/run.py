"""One run of a scenario: a namespace, a bucket prefix, a proxy and an operator of its own."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from penstock.kube import resources
from tests.crash import processes, snapshot
from tests.crash.choke import Choke
from tests.crash.etcd import Etcd
from tests.crash.faults import Way
from tests.crash.kubelet import World
from tests.crash.moments import Look, Moments, times_of_files
from tests.crash.plane import KEYS, OPERATOR, Plane
from tests.crash.processes import ROOT, Process, Zygote, free_port
from tests.crash.servers import Api, Bucket

Manifest = dict[str, Any]
_LOOK_SECONDS = 0.1
_LOOK_ALL_THE_SAME_SECONDS = 1.0
SETTLED_SECONDS = 1.2
"""How long nothing may be written before a state counts: the operator's polls are a second apart."""
_CREDENTIALS = "store-credentials"


@dataclass
class Lab:
    """What all runs share."""

    plane: Plane
    zygote: Zygote
    api: Api
    etcd: Etcd
    bucket: Bucket
    plain: aiohttp.ClientSession
    raw: aiohttp.ClientSession
    """Passes bodies on as they come, compressed or not."""
    runs: int = 0

    @classmethod
    async def open(cls, folder: Path) -> Lab:
        """Start the servers."""
        plane = await Plane.open(folder)
        plain = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        raw = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)
        zygote = await Zygote.open(folder / "launcher.log")
        return cls(plane, zygote, Api(plane, plain), Etcd(plane.etcd, plain), Bucket(plane), plain, raw)

    async def close(self) -> None:
        """Stop them."""
        await self.zygote.close()
        await self.plain.close()
        await self.raw.close()
        await asyncio.to_thread(self.plane.close)


class Run:
    """One run; it plays the user, too. `broken`: how its operator is broken on purpose; empty: not at all."""

    def __init__(self, lab: Lab, broken: str = "") -> None:
        lab.runs += 1
        self._broken = broken
        # Always as long: it stands in files whose sizes are counted.
        self.namespace = f"run-{lab.runs:05}"
        self._lab = lab
        self.world = World(lab.api, lab.bucket, self.namespace)
        self.choke = Choke(lab.plane, self.namespace, self.world, lab.raw)
        self.choke.kill, self.choke.restart = self._kill, self._start
        self.log = lab.plane.folder / f"{self.namespace}.log"
        self.ended_by_itself = 0
        self._whole = False
        self._operator: Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._probe = free_port()

    # ------------------------------------------------------------ the operator

    async def open(self, *, whole: bool = False) -> None:
        """Make the namespace and start an operator; `whole`: by `python3 -m penstock` instead of a fork."""
        self._whole = whole
        await self._make_namespace()
        await self.choke.open()
        await self._start()

    async def _make_namespace(self) -> None:
        api, space = self._lab.api, self.namespace
        await api.create(resources.NAMESPACES, None, {"metadata": {"name": space}})
        names = zip(("accessKeyId", "secretAccessKey"), KEYS, strict=True)
        data = {name: base64.b64encode(value.encode()).decode() for name, value in names}
        await api.create(resources.SECRETS, space, {"metadata": {"name": _CREDENTIALS}, "data": data})
        for manifest in _own_rights():
            manifest["metadata"]["namespace"] = space
            resource = resources.resource_of(manifest)
            await api.create(resource, space, manifest)

    def environment(self) -> dict[str, str]:
        """The operator's settings."""
        config = self._lab.plane.kubeconfig(self.namespace, self.choke.address, OPERATOR)
        return {
            "KUBECONFIG": str(config),
            "PENSTOCK_NAMESPACE": self.namespace,
            "PENSTOCK_WATCH_NAMESPACES": self.namespace,
            # As a container that is started again in its pod: it need not wait for its own lease.
            "PENSTOCK_IDENTITY": "penstock-0",
            "PENSTOCK_LEASE_SECONDS": "60",
            "PENSTOCK_PROBE_PORT": str(self._probe),
            "PENSTOCK_FLINK_ADDRESS": f"{self.choke.address}/flink/{{host}}",
            # In place of all authorities of the machine: nothing of an operator's is encrypted here.
            "SSL_CERT_FILE": str(self._lab.plane.certificate),
            "SSL_CERT_DIR": str(self._lab.plane.folder / "none"),
        }

    async def _start(self) -> None:
        env = self.environment()
        if self._whole:
            self._operator, _ = await processes.start_whole(env, self.log)
        else:
            self._operator = await self._lab.zygote.fork(env, self.log, self._broken)
        self._watch = asyncio.create_task(self._start_again(self._operator))

    async def _start_again(self, process: Process) -> None:
        """As the kubelet does with a container that has ended by itself."""
        await process.gone()
        self.ended_by_itself += 1
        await asyncio.sleep(0.5)
        await self._start()

    async def _kill(self, way: Way) -> None:
        await self._end()
        if way is Way.LOST:
            await self.world.move_on()

    async def _end(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._operator is not None:
            await self._operator.kill()

    async def close(self, *, clear: bool = True) -> None:
        """Kill the operator and stop listening; all that there is of its namespace goes, unless it is to be looked at.

        What thousands of runs leave would be in the memory of the API server and of the garbage collector until the
        end, and each request slower than the one before.
        """
        await self._end()
        await self.choke.close()
        await self._end()  # one that was started again because of a request that was still under way
        if clear:
            await self._lab.etcd.clear(self.namespace)
            await asyncio.to_thread(shutil.rmtree, self._lab.plane.files(self.namespace), ignore_errors=True)
            (self._lab.plane.folder / f"{self.namespace}.kubeconfig").unlink(missing_ok=True)

    @property
    def pid(self) -> int:
        """The operator's process."""
        return self._operator.pid if self._operator is not None else 0

    # ------------------------------------------------------------ the user

    async def make_store(self) -> None:
        """Create the CheckpointStore, and wait until it is Ready."""
        spec = {
            "endpoint": self.choke.address,
            "bucket": "crash",
            "prefix": self.namespace,
            "credentials": {"secretRef": {"name": _CREDENTIALS}},
            "jobCredentials": {"secretName": _CREDENTIALS},
            "allowedNamespaces": {"names": [self.namespace]},
        }
        await self._lab.api.create(resources.STORES, None, {"metadata": {"name": self.namespace}, "spec": spec})
        await self.until("the store is Ready", lambda: self._ready("CheckpointStore", self.namespace))

    async def make_job(self, name: str = "flow", **spec: Any) -> None:
        """Create a StreamJob, and wait until it runs and Flink has completed a checkpoint."""
        checkpoints = {"store": self.namespace} | spec.pop("checkpoints", {})
        whole = {"flink": {"version": "2.3"}, "job": {"sql": {"script": "SELECT 1;"}}, "checkpoints": checkpoints}
        manifest = {"metadata": {"name": name}, "spec": whole | spec}
        await self._lab.api.create(resources.STREAM_JOBS, self.namespace, manifest)
        await self.until_job("Running", name)
        # The checkpoint's object follows: on a busy machine so late that what has been prepared would seem settled.
        await self.until_present("Retained", job=name)

    async def edit_job(self, **spec: Any) -> None:
        """Change the StreamJob's spec."""
        await self._lab.api.patch(resources.STREAM_JOBS, self.namespace, "flow", {"spec": spec})

    async def take(self, name: str) -> None:
        """Create a Checkpoint, and wait until it is Present."""
        await self.ask(name)
        await self.until_phase(name, "Present")

    async def ask(self, name: str, **more: Any) -> None:
        """Create a Checkpoint."""
        spec = {"jobRef": {"name": "flow"}, "description": f"the {name} one"} | more
        manifest = {"metadata": {"name": name}, "spec": spec}
        await self._lab.api.create(resources.CHECKPOINTS, self.namespace, manifest)

    async def delete(self, resource: resources.Resource, name: str) -> None:
        """Delete an object, and wait until it is gone."""
        await self._lab.api.delete(resource, self.namespace if resource.namespaced else None, name)
        await self.until_gone(resource, name)

    async def until_gone(self, resource: resources.Resource, name: str) -> None:
        """Wait until an object is gone."""
        space = self.namespace if resource.namespaced else None

        async def gone() -> bool:
            return await self._lab.api.get(resource, space, name) is None

        await self.until(f"{resource.kind} {name} is gone", gone)

    async def lose(self, resource: resources.Resource, name: str) -> None:
        """Delete an object of the run, and wait until there is one again and nothing more is written."""
        before = await self._lab.api.get(resource, self.namespace, name) or {}
        await self.world.lose(resource, name)

        async def again() -> bool:
            found = await self._lab.api.get(resource, self.namespace, name)
            return found is not None and found["metadata"]["uid"] != before["metadata"]["uid"]

        await self.until(f"{resource.kind} {name} is there again", again)
        await self.settle()

    async def schedule_once(self, seconds: float) -> None:
        """Give the job a schedule whose next time is the first minute after so many seconds, and then a year later."""
        minute = datetime.now(UTC) + timedelta(seconds=seconds + 60)
        cron = f"{minute.minute} {minute.hour} {minute.day} {minute.month} *"
        await self.edit_job(checkpoints={"schedule": {"cron": cron}})

    async def until_present(self, source: str, seconds: float = 90, job: str = "flow") -> None:
        """Wait until a Checkpoint of this source is Present."""

        async def present() -> bool:
            found = await self._lab.api.find(resources.CHECKPOINTS, self.namespace)
            of_job = [each for each in found if each["spec"]["jobRef"]["name"] == job]
            own = [each for each in of_job if each["spec"].get("source") == source]
            return any((each.get("status") or {}).get("phase") == "Present" for each in own)

        await self.until(f"a Checkpoint of source {source} is Present", present, seconds)

    async def until_checkpoint(self, number: int) -> None:
        """Wait until the job's status tells of this checkpoint of Flink."""

        async def told() -> bool:
            found = await self._lab.api.get(resources.STREAM_JOBS, self.namespace, "flow") or {}
            latest = (found.get("status") or {}).get("latestCheckpoint") or {}
            return bool(latest.get("checkpointId") == number)

        await self.until(f"the job tells of checkpoint {number}", told)

    async def until_stalled(self, name: str) -> None:
        """Wait until a Checkpoint says that it cannot be used."""

        async def stalled() -> bool:
            found = await self._lab.api.get(resources.CHECKPOINTS, self.namespace, name) or {}
            conditions = (found.get("status") or {}).get("conditions", [])
            return any(each["type"] == "Stalled" and each["status"] == "True" for each in conditions)

        await self.until(f"Checkpoint {name} is Stalled", stalled)

    async def until_collected(self) -> None:
        """Wait until the garbage collector has taken what the StreamJob owned."""

        async def gone() -> bool:
            return not await self._lab.api.find(resources.REVISIONS, self.namespace)

        await self.until("the job versions are collected", gone)

    async def until_phase(self, name: str, phase: str) -> None:
        """Wait for a Checkpoint's phase."""

        async def reached() -> bool:
            found = await self._lab.api.get(resources.CHECKPOINTS, self.namespace, name)
            return ((found or {}).get("status") or {}).get("phase") == phase

        await self.until(f"Checkpoint {name} is {phase}", reached)

    async def until_job(self, state: str, name: str = "flow") -> None:
        """Wait until a StreamJob is in this state as its spec asks for it now, and settled."""

        async def reached() -> bool:
            found = await self._lab.api.get(resources.STREAM_JOBS, self.namespace, name) or {}
            status = found.get("status") or {}
            ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", []))
            seen = status.get("observedGeneration") == found.get("metadata", {}).get("generation")
            # A change that the operator still looks at is under way, though the job is as it should be.
            moving = any(
                each["type"] == "Reconciling" and each["status"] == "True" for each in status.get("conditions", [])
            )
            settled = ready and seen and not moving and "intent" not in status and status.get("state") == state
            return settled and (state != "Running" or "latestCheckpoint" in status)

        await self.until(f"{name} is {state}", reached)

    async def until_taken_back(self) -> None:
        """Wait until the StreamJob runs as before a change that did not work, and settled."""

        async def reached() -> bool:
            found = await self._lab.api.get(resources.STREAM_JOBS, self.namespace, "flow") or {}
            status = found.get("status") or {}
            said = [each["reason"] for each in status.get("conditions", []) if each["type"] == "Stalled"]
            return said == ["RolledBack"] and "intent" not in status and "latestCheckpoint" in status

        await self.until("the change is taken back", reached)

    async def _ready(self, kind: str, name: str) -> bool:
        resource = next(each for each in resources.ALL if each.kind == kind)
        space = self.namespace if resource.namespaced else None
        found = await self._lab.api.get(resource, space, name) or {}
        conditions = (found.get("status") or {}).get("conditions", [])
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    async def until(self, what: str, ask: Callable[[], Any], seconds: float = 90) -> None:
        """Wait until something is so.

        Raises:
            TimeoutError: with what was waited for.
        """
        deadline, looked = time.monotonic() + seconds, 0.0
        while True:
            # Looking costs the API server as much as the operator does: only when something was written meanwhile.
            if self.choke.last_effect > looked or time.monotonic() > looked + _LOOK_ALL_THE_SAME_SECONDS:
                looked = time.monotonic()
                if await ask():
                    return
            if self.choke.problems:
                raise RuntimeError(self.choke.problems[0])
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds:.0f} s in vain: {what}")
            await asyncio.sleep(_LOOK_SECONDS)

    # ------------------------------------------------------------ looking

    def keep_moments(self) -> Moments:
        """From now on keep what the world is at each effect."""
        self.choke.moments = Moments(self._world_now, lambda: self.world.has_to_move_on)
        return self.choke.moments

    async def _world_now(self) -> Look:
        """All that an operator that starts now can find."""
        flink = self.world.standing()
        objects = await self._lab.etcd.versions(self.namespace)
        files = times_of_files(self._lab.plane.files(self.namespace))
        sure = None not in (flink, files) and flink == self.world.standing()
        return f"{objects} {files} {flink}" if sure else None

    async def look(self, *, errors: bool = False) -> str:
        """The state as text, everything random masked."""
        lab = self._lab
        seen = await snapshot.take(lab.api, lab.bucket, self.world.flink, self.namespace, self.choke.address)
        return snapshot.text_of(seen, errors=errors)

    async def settle(self, seconds: float = SETTLED_SECONDS) -> None:
        """Wait until nothing has been written for a while, and nothing is to come that comes by itself."""
        await self.until("each Present Checkpoint is verified", self._verified)
        while self.quiet_seconds < seconds:  # noqa: ASYNC110 - quiet is the absence of events
            await asyncio.sleep(seconds - self.quiet_seconds + 0.01)

    async def _verified(self) -> bool:
        """The look at a Checkpoint comes in the background: on a busy machine so late that all would seem settled."""
        found = await self._lab.api.find(resources.CHECKPOINTS, self.namespace)
        return not [each["metadata"]["name"] for each in found if _is_to_be_verified(each)]

    def object_name(self, part: str) -> str:
        """Name of an object of the only run that was ever started."""
        (job,) = {each.cluster for each in self.world.flink.started}
        return f"{job}-{part}"

    @property
    def quiet_seconds(self) -> float:
        """How long no effect has passed."""
        return time.monotonic() - self.choke.last_effect


def _is_to_be_verified(item: Manifest) -> bool:
    status = item.get("status") or {}
    true = {each["type"]: each.get("reason") for each in status.get("conditions", []) if each["status"] == "True"}
    goes = "deletionTimestamp" in item["metadata"] or "Deleting" in true or true.get("Stalled") == "Unreadable"
    return status.get("phase") == "Present" and "verification" not in status and not goes


def _own_rights() -> list[Manifest]:
    """The operator's rights in its own namespace, as its manifest gives them."""
    text = (ROOT / "manifests/operator/operator.yaml").read_text()
    found = [each for each in yaml.safe_load_all(text) if each and each["kind"] in ("Role", "RoleBinding")]
    return list(json.loads(json.dumps(found)))
