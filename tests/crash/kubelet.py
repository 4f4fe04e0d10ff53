"""The world around the operator: the Job and Deployment controllers, the kubelet, the guard and Flink, in one object.

There are no nodes. When the operator has made a run's Job its pod appears, its guard uses up the permit, and a fake
Flink job starts from what the ConfigMap says; when the Job is deleted the pod and the process are gone. All of that
happens within the write that caused it.
"""

from __future__ import annotations

import json
from typing import Any

from penstock import guard, names
from penstock.kube import resources
from tests.crash.flink import Answer, Flink, Job
from tests.crash.servers import Api, Bucket

Manifest = dict[str, Any]
_FLINK = "flink-native-kubernetes"
BROKEN = 71
"""A job of this parallelism fails at its start."""


class World:
    """What reacts to one operator's writes, in one namespace."""

    def __init__(self, api: Api, bucket: Bucket, namespace: str) -> None:
        self._api, self._namespace = api, namespace
        self.flink = Flink(bucket)
        self.violations: list[str] = []
        """What may never happen, whatever the end state says."""
        self._cleaned: set[str] = set()
        self._asked = 0
        """Requests to Flink that are under way."""

    async def react(self, method: str, path: str, body: bytes) -> None:
        """A write of the operator has been carried out."""
        plural, _, name = path.partition("/namespaces/")[2].partition("/")[2].partition("/")
        if plural in ("jobs", "deployments") and method == "PATCH":
            await self._made(plural, json.loads(body))
        elif plural in ("jobs", "deployments") and method == "DELETE":
            await self._deleted(name)

    async def ask_flink(self, host: str, method: str, path: str, body: bytes) -> Answer | None:
        """A request to a JobManager."""
        self._asked += 1
        try:
            answer = await self.flink.answer(host, method, path, json.loads(body) if body else None)
            await self._clean_up()
        finally:
            self._asked -= 1
        return answer

    async def move_on(self) -> None:
        """Time passes while the operator is dead."""
        await self.flink.move_on()
        await self._clean_up()

    @property
    def has_to_move_on(self) -> bool:
        """Whether `move_on` would change anything."""
        return self.flink.has_to_move_on or any(self._uncleaned())

    def standing(self) -> str | None:
        """What Flink is and has; None: it is about to change."""
        return None if self._asked or self.flink.busy else f"{self.flink.standing()} {sorted(self._cleaned)}"

    # ------------------------------------------------------------ pods

    async def _made(self, plural: str, owner: Manifest) -> None:
        pod = f"{owner['metadata']['name']}-pod"
        if await self._api.get(resources.PODS, self._namespace, pod) is not None:
            return
        if owner.get("status", {}).get("conditions"):
            return  # the Job has failed for good: it makes no more pods
        if owner["metadata"]["labels"].get("penstock.dev/component") == "preflight":
            await self._try_program(pod, owner)
            return
        started = plural == "deployments" or await self._start(owner)
        await self._make_pod(pod, owner, "Running" if started else "Failed")

    async def _make_pod(self, name: str, owner: Manifest, phase: str) -> None:
        template = owner["spec"]["template"]
        reference = {key: owner[key] for key in ("apiVersion", "kind")}
        reference |= {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
        manifest = {
            "metadata": template["metadata"] | {"name": name, "ownerReferences": [reference]},
            "spec": template["spec"] | {"nodeName": "nowhere", "serviceAccountName": ""},
        }
        manifest["spec"].pop("serviceAccount", None)
        await self._api.create(resources.PODS, self._namespace, manifest)
        await self._api.patch(resources.PODS, self._namespace, name, {"status": {"phase": phase}}, "status")

    async def _try_program(self, name: str, owner: Manifest) -> None:
        """The pod of a preflight: it runs to its end at once, and its program has a place for all of the state."""
        await self._make_pod(name, owner, "Succeeded")
        end = {"exitCode": 0, "message": "graph 3 0\n"}
        told = {"name": "preflight", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
        status = {"containerStatuses": [told | {"state": {"terminated": end}}]}
        await self._api.patch(resources.PODS, self._namespace, name, {"status": status}, "status")

    async def _deleted(self, name: str) -> None:
        self.flink.kill(f"{name}.{self._namespace}.svc")
        await self._api.delete(resources.PODS, self._namespace, f"{name}-pod")

    # ------------------------------------------------------------ what goes wrong

    async def lose(self, resource: resources.Resource, name: str) -> None:
        """Somebody deletes an object of a run, and its pods go with it."""
        if resource in (resources.JOBS, resources.DEPLOYMENTS):
            await self._deleted(name)  # before it, so that the real garbage collector finds nothing left to collect
        await self._api.delete(resource, self._namespace, name)

    async def fail_manager(self, name: str) -> None:
        """A JobManager's process ends with an error; its Job counts that, and lets time pass before the next pod."""
        self.flink.kill(f"{name}.{self._namespace}.svc")
        await self._api.patch(resources.JOBS, self._namespace, name, {"status": {"failed": 1}}, "status")
        await self._api.patch(resources.PODS, self._namespace, f"{name}-pod", {"status": {"phase": "Failed"}}, "status")

    async def add_failed_pod(self, name: str, suffix: str) -> None:
        """A pod of a JobManager's Job that has failed at some time."""
        owner = await self._api.get(resources.JOBS, self._namespace, name)
        assert owner is not None
        kind = {"apiVersion": resources.JOBS.api_version, "kind": resources.JOBS.kind}
        await self._make_pod(f"{name}-{suffix}", kind | owner, "Failed")

    # ------------------------------------------------------------ a JobManager's pod

    async def _start(self, owner: Manifest) -> bool:
        """The guard, then Flink; False when the guard refuses. It is the permit that allows the restore path."""
        run = owner["metadata"]["labels"]["penstock.dev/run"]
        stem = owner["metadata"]["name"].removesuffix("-jobmanager")
        earlier = [job for job in self.flink.started if job.run == run]
        first = await self._use_permit(f"{stem}-permit")
        if not (first or await self._goes_on(stem, run)):
            condition = {"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "guard: 75"}
            condition |= {"lastTransitionTime": "2026-01-01T00:00:00Z", "lastProbeTime": "2026-01-01T00:00:00Z"}
            target = condition | {"type": "FailureTarget"}
            status = {"status": {"conditions": [target, condition], "startTime": "2026-01-01T00:00:00Z"}}
            await self._api.patch(resources.JOBS, self._namespace, owner["metadata"]["name"], status, "status")
            return False
        if first and earlier:
            self.violations.append(f"run {run} was started from its restore path twice")
        config = await self._configuration(stem)
        job = Job(
            run=run,
            cluster=stem,
            restore_path=config.get("execution.state-recovery.path", "") if first else earlier[-1].newest,
            checkpoint_dir=config["execution.checkpointing.dir"],
            ha_dir=config["high-availability.storageDir"],
            num_retained=int(config["execution.checkpointing.num-retained"]),
            broken=config["parallelism.default"] == str(BROKEN),
        )
        of = job.cluster.rpartition("-")[0]
        others = ", ".join(each.run for each in self.flink.jobs.values() if each.cluster.rpartition("-")[0] == of)
        if others:
            self.violations.append(f"run {run} was started while the JobManager of {others} was still there")
        await self.flink.start(f"{stem}-jobmanager.{self._namespace}.svc", job)
        if first:
            await self._write_high_availability(job)
        return True

    async def _use_permit(self, name: str) -> bool:
        """As `penstock.guard` does it."""
        found = await self._api.get(resources.CONFIG_MAPS, self._namespace, name)
        if found is None or guard.USED in (found.get("data") or {}):
            return False
        patch = {"data": {guard.USED: "pod"}}
        await self._api.patch(resources.CONFIG_MAPS, self._namespace, name, patch)
        return True

    async def _goes_on(self, stem: str, run: str) -> bool:
        """Without a permit: what `penstock.guard` decides in the pod's init container."""
        found = await self._api.find(resources.CONFIG_MAPS, self._namespace, f"app={stem},type={_FLINK}")
        return guard.high_availability_is_whole(found, run)

    async def _configuration(self, stem: str) -> dict[str, str]:
        found = await self._api.get(resources.CONFIG_MAPS, self._namespace, f"{stem}-config")
        secret = await self._api.get(resources.SECRETS, self._namespace, f"{stem}-job")
        if found is None or secret is None:
            raise RuntimeError(f"{stem}: a pod's volumes are missing, and here nobody makes them later")
        lines = (line.partition(": ") for line in found["data"]["config.yaml"].splitlines())
        return {json.loads(key): json.loads(value) for key, _, value in lines}

    # ------------------------------------------------------------ Flink's ConfigMaps

    async def _write_high_availability(self, job: Job) -> None:
        plan = {f"submittedExecutionPlan-{job.run}": "handle"}
        await self._config_map(f"{job.cluster}-cluster-config-map", job.cluster, plan)
        await self._config_map(_pointers(job), job.cluster, {"checkpointID-0000000000000000001": "handle"})

    async def _config_map(self, name: str, cluster: str, data: dict[str, str]) -> None:
        labels = {"app": cluster, "type": _FLINK, "configmap-type": "high-availability"}
        manifest = {"metadata": {"name": name, "labels": labels}, "data": data}
        await self._api.create(resources.CONFIG_MAPS, self._namespace, manifest)

    async def _clean_up(self) -> None:
        """Flink cleans up after a job that has ended for good."""
        for job in self._uncleaned():
            self._cleaned.add(job.run)
            await self._api.delete(resources.CONFIG_MAPS, self._namespace, _pointers(job))

    def _uncleaned(self) -> list[Job]:
        return [job for job in self.flink.jobs.values() if job.terminal and job.run not in self._cleaned]


def _pointers(job: Job) -> str:
    name = job.cluster.rpartition("-")[0]
    return names.checkpoint_pointers(name, job.run)
