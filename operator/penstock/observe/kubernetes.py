"""What Kubernetes holds of a StreamJob: its runs' objects and pods, and its job versions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from penstock import names
from penstock.api import constants
from penstock.api.history import RUN_PREFIX, RunRecord
from penstock.api.meta import ObjectMeta
from penstock.build.context import (
    ANNOTATION_HASH,
    ANNOTATION_REPLICAS,
    ANNOTATION_STARTED_FROM,
    ANNOTATION_VERSION,
    JOB_MANAGER,
    PREFLIGHT,
)
from penstock.guard import REFUSED, USED
from penstock.kube import resources
from penstock.kube.client import Kube
from penstock.model import Manager, ProgramPod, Revision, RunObjects

Manifest = dict[str, Any]
_LASTING = (resources.CONFIG_MAPS, resources.SERVICES, resources.DEPLOYMENTS, resources.JOBS)
_WAITING_TROUBLES = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
    }
)


_HOPELESS = _WAITING_TROUBLES - {"CrashLoopBackOff", "ErrImagePull"}
"""What hardly passes by itself. One pull may fail, and the next one not."""
Items = Mapping[str, list[Manifest]]
"""What there is of a StreamJob, by kind."""


async def items_of(kube: Kube, meta: ObjectMeta) -> Items:
    """All that Kubernetes holds of a StreamJob's runs (by its uid), and of looks at starts.

    No Secret is read: the operator has no right to, so that it cannot leak one. See `creating`.
    """
    labels = f"{constants.LABEL_JOB_UID}={meta.uid}"
    listed = (*_LASTING, resources.PODS)
    answers = await asyncio.gather(*(kube.find(resource, meta.namespace, labels=labels) for resource in listed))
    return {resource.kind: items for resource, items in zip(listed, answers, strict=True)}


async def runs_of(kube: Kube, meta: ObjectMeta, items: Items) -> tuple[RunObjects, ...]:
    """All runs that are among these."""
    runs = []
    for run, kinds in sorted(_by_label(items, constants.LABEL_RUN).items()):
        selector = names.high_availability_selector(meta.name, run)
        ha = await kube.find(resources.CONFIG_MAPS, meta.namespace, labels=selector)
        runs.append(_run_objects(meta.name, run, kinds, tuple(item["metadata"]["name"] for item in ha)))
    return tuple(runs)


def programs_of(items: Items) -> tuple[ProgramPod, ...]:
    """All looks at starts that are among these."""
    found = _by_label(items, constants.LABEL_PREFLIGHT)
    return tuple(_program_pod(id_, kinds) for id_, kinds in sorted(found.items()))


def _by_label(items: Items, label: str) -> dict[str, dict[str, list[Manifest]]]:
    found: dict[str, dict[str, list[Manifest]]] = defaultdict(lambda: defaultdict(list))
    for kind, several in items.items():
        for item in several:
            id_ = item["metadata"].get("labels", {}).get(label, "")
            if names.is_run(id_):
                found[id_][kind].append(item)
    return found


def _program_pod(id_: str, kinds: dict[str, list[Manifest]]) -> ProgramPod:
    job, pods = next(iter(kinds["Job"]), None), kinds["Pod"]
    state, message = _manager(job)
    ended = [
        each["state"]["terminated"]
        for pod in pods
        for each in [*pod["status"].get("initContainerStatuses", []), *pod["status"].get("containerStatuses", [])]
        if "terminated" in each.get("state", {})
    ]
    answers = [
        each["state"]["terminated"].get("message", "")
        for pod in pods
        for each in pod["status"].get("containerStatuses", [])
        if each["name"] == PREFLIGHT and each.get("state", {}).get("terminated", {}).get("exitCode") == 0
    ]
    failed = [each for each in ended if each.get("exitCode")]
    words = [f"{each.get('reason', 'Error')} ({each['exitCode']}) {_last_line(each)}".strip() for each in failed]
    words += [trouble for pod in pods for trouble in _troubles(pod)]
    return ProgramPod(
        id_,
        made=job is not None,
        made_at=_time(job["metadata"].get("creationTimestamp")) if job is not None else None,
        answer=answers[0] if answers else "",
        ended=bool(answers) or state in (Manager.FAILED, Manager.COMPLETE),
        troubles=tuple(words) if words or not message else (message,),
        hopeless=any(reason in _HOPELESS for pod in pods for reason in _waiting(pod)),
    )


def _last_line(terminated: Manifest) -> str:
    lines = terminated.get("message", "").strip().splitlines()
    return str(lines[-1].strip()[:200]) if lines else ""


def _waiting(pod: Manifest) -> list[str]:
    status = pod.get("status", {})
    statuses = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return [(each.get("state", {}).get("waiting") or {}).get("reason", "") for each in statuses]


async def revisions_of(kube: Kube, meta: ObjectMeta) -> tuple[Revision, ...]:
    """The job versions of a StreamJob, oldest first."""
    items = await kube.find(resources.REVISIONS, meta.namespace, labels=f"{constants.LABEL_JOB_UID}={meta.uid}")
    return tuple(sorted(map(_revision, items), key=lambda revision: revision.version))


def _revision(item: Manifest) -> Revision:
    annotations = item["metadata"].get("annotations") or {}
    return Revision(
        int(item.get("revision", 0)),
        annotations.get(ANNOTATION_HASH, ""),
        (item.get("data") or {}).get("spec") or {},
        {key.removeprefix(RUN_PREFIX): record for key, text in annotations.items() if (record := _record(key, text))},
        _time(item["metadata"].get("creationTimestamp")),
    )


def _record(key: str, text: str) -> RunRecord | None:
    """One that cannot be read is none: that of the present run is written anew, and of others nothing is decided."""
    try:
        return RunRecord.model_validate_json(text) if key.startswith(RUN_PREFIX) else None
    except ValidationError:
        return None


def _run_objects(job: str, run: str, kinds: dict[str, list[Manifest]], ha: tuple[str, ...]) -> RunObjects:
    present = {(kind, item["metadata"]["name"]) for kind, items in kinds.items() for item in items}
    wanted = {
        ("ConfigMap", names.config(job, run)),
        ("Service", names.job_manager(job, run)),
        ("Deployment", names.task_manager(job, run)),
        ("Job", names.job_manager(job, run)),
    }
    manager = next(iter(kinds["Job"]), None)
    state, message = _manager(manager)
    annotations = manager["metadata"].get("annotations", {}) if manager else {}
    pods = kinds["Pod"]
    return RunObjects(
        run=run,
        manager=state,
        manager_message=message,
        manager_made_at=_time(manager["metadata"].get("creationTimestamp")) if manager else None,
        waits=state is Manager.ACTIVE and _waits(manager, pods),
        crash=_crash(pods),
        missing=tuple(f"{kind}/{name}" for kind, name in sorted(wanted - present)),
        permit=any(_is_unused(item, names.permit(job, run)) for item in kinds["ConfigMap"]),
        drifted=_drifted(kinds["Deployment"]),
        creating=any(_is_creating(pod) for pod in pods),
        pods=sum(not _has_ended(pod) for pod in pods),
        manager_pods=sum(not _has_ended(pod) for pod in _managers(pods)),
        objects=sum(len(kinds[resource.kind]) for resource in _LASTING),
        ha_config_maps=ha,
        stale_pods=_stale(pods),
        troubles=tuple(sorted({trouble for pod in pods for trouble in _troubles(pod)})) + _guard_fails(pods),
        job_version=_number(annotations.get(ANNOTATION_VERSION)),
        spec_hash=annotations.get(ANNOTATION_HASH, ""),
        started_from=annotations.get(ANNOTATION_STARTED_FROM, ""),
    )


def _is_unused(item: Manifest, permit: str) -> bool:
    return item["metadata"]["name"] == permit and USED not in (item.get("data") or {})


def _manager(job: Manifest | None) -> tuple[Manager, str]:
    if job is None:
        return Manager.ABSENT, ""
    for condition in job.get("status", {}).get("conditions", []):
        if condition.get("status") != "True":
            continue
        if condition["type"] in ("Failed", "FailureTarget"):
            return Manager.FAILED, f"{condition.get('reason', '')}: {condition.get('message', '')}".strip(": ")
        if condition["type"] in ("Complete", "SuccessCriteriaMet"):
            return Manager.COMPLETE, "its process ended by itself"
    return Manager.ACTIVE, ""


def _waits(job: Manifest | None, pods: list[Manifest]) -> bool:
    failed = (job or {}).get("status", {}).get("failed", 0)
    return bool(failed) and not any(not _has_ended(pod) for pod in _managers(pods))


def _managers(pods: list[Manifest]) -> list[Manifest]:
    return [pod for pod in pods if pod["metadata"]["labels"].get(constants.LABEL_COMPONENT) == JOB_MANAGER]


def _number(text: object) -> int:
    """0 when somebody has made something else of it."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdecimal() else 0


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _drifted(deployments: list[Manifest]) -> bool:
    """Somebody scaled the TaskManagers by hand: the wanted number stands beside it in an annotation."""
    for deployment in deployments:
        wanted = deployment["metadata"].get("annotations", {}).get(ANNOTATION_REPLICAS)
        if wanted is not None and str(deployment["spec"].get("replicas")) != wanted:
            return True
    return False


def _is_creating(pod: Manifest) -> bool:
    """Whether it may be waiting for its volumes: none of its containers has come any further, or failed to."""
    statuses = [*pod.get("status", {}).get("initContainerStatuses", []), *pod["status"].get("containerStatuses", [])]
    reasons = {(status.get("state", {}).get("waiting") or {}).get("reason") for status in statuses}
    waits = bool(reasons) and reasons <= {"ContainerCreating", "PodInitializing"}
    return waits and "deletionTimestamp" not in pod["metadata"]


def _has_ended(pod: Manifest) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def _crash(pods: list[Manifest]) -> str:
    """The line that says most of a JobManager's last log lines: the innermost cause, else the last exception."""
    ended = [
        (pod["metadata"]["creationTimestamp"], container["state"]["terminated"].get("message", ""))
        for pod in pods
        for container in pod.get("status", {}).get("containerStatuses", [])
        if container["name"] == JOB_MANAGER and "terminated" in container.get("state", {})
    ]
    lines = max(ended, default=("", ""))[1].strip().splitlines()
    telling = [line.strip() for line in lines if line.startswith("Caused by: ")]
    telling = telling or [line.strip() for line in lines if "Exception" in line and not line.startswith("\tat")]
    return (telling or lines or [""])[-1][:500]


def _stale(pods: list[Manifest]) -> tuple[str, ...]:
    """Ended JobManager pods but the newest three, whose logs somebody may want; the Job has counted them all."""
    ended = [
        pod
        for pod in pods
        if _has_ended(pod) and not any("tracking" in each for each in pod["metadata"].get("finalizers", []))
    ]
    ended.sort(key=lambda pod: pod["metadata"]["creationTimestamp"], reverse=True)
    return tuple(pod["metadata"]["name"] for pod in ended[3:])


def _guard_fails(pods: list[Manifest]) -> tuple[str, ...]:
    """That no JobManager comes up because the guard itself fails; its refusal is the Job's to tell."""
    managers = sorted(_managers(pods), key=lambda pod: pod["metadata"]["creationTimestamp"])
    if not managers or not _has_ended(managers[-1]):
        return ()
    for container in managers[-1]["status"].get("initContainerStatuses", []):
        code = (container.get("state", {}).get("terminated") or {}).get("exitCode", 0)
        if code not in (0, REFUSED):
            name = managers[-1]["metadata"]["name"]
            told = f"pod {name}: its init container {container['name']} failed with exit code {code}"
            return (f"{told} (kubectl logs {name} -c {container['name']})",)
    return ()


def _troubles(pod: Manifest) -> list[str]:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    if _has_ended(pod):
        return []
    found = []
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in _WAITING_TROUBLES:
            found.append(f"pod {name}: {waiting['reason']} {waiting.get('message', '')}".strip()[:300])
    found += [
        f"pod {name}: {condition.get('reason', '')} {condition.get('message', '')}".strip()[:300]
        for condition in status.get("conditions", [])
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False"
    ]
    return found
