"""The Kubernetes objects of one run."""

from __future__ import annotations

from typing import Any

from penstock import names
from penstock.api import constants
from penstock.api.base import dump
from penstock.api.meta import ObjectMeta
from penstock.api.streamjob import StreamJobSpec
from penstock.build.context import (
    ANNOTATION_HASH,
    ANNOTATION_REPLICAS,
    ANNOTATION_STARTED_FROM,
    ANNOTATION_VERSION,
    JOB_MANAGER,
    TASK_MANAGER,
    RunContext,
    owner_reference,
)
from penstock.build.flink_config import BLOB_PORT, REST_PORT, RPC_PORT, configuration, logging, render
from penstock.build.pods import flink_container, guard_container, pod_template, render_container
from penstock.build.program import command, is_rendered
from penstock.guard import REFUSED

Manifest = dict[str, Any]
_BACKOFF_LIMIT = 2_000_000
"""A JobManager is made again for as long as the job is to run; the guard decides whether it may start."""


def lasting(context: RunContext) -> list[Manifest]:
    """All objects that a live run must have, in the order in which they are applied; the JobManager's Job comes last.

    The permit is not among them: it is made once, and used up by the first start.
    """
    return [config_map(context), secret(context), service(context), task_managers(context), job_manager(context)]


def permit(context: RunContext) -> Manifest:
    """The ConfigMap that the first JobManager pod deletes before it starts from the restore path."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": context.metadata(names.permit(context.name, context.run), "permit"),
        "data": {"run": context.run},
    }


def config_map(context: RunContext) -> Manifest:
    """Flink's configuration."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": context.metadata(names.config(context.name, context.run), "config"),
        "data": {"config.yaml": render(configuration(context)), "log4j-console.properties": logging(context)},
    }


def secret(context: RunContext) -> Manifest:
    """The script with this run's constants, and its secrets as placeholders: fewer may read a Secret than a ConfigMap.

    It also stands in the StreamJob and in the ControllerRevision of its version. A jar's arguments are not here but in
    the JobManager's command. What must not be read in any of these belongs into a Secret that `${secret:…}` names.
    """
    data = {"job.sql": context.script} if context.script is not None else {}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": context.metadata(names.script(context.name, context.run), "job"),
        "type": "Opaque",
        "stringData": data,
    }


def service(context: RunContext) -> Manifest:
    """A headless Service that names the JobManager's pod, ready or not."""
    ports = (("rpc", RPC_PORT), ("blob", BLOB_PORT), ("rest", REST_PORT))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": context.metadata(names.job_manager(context.name, context.run), JOB_MANAGER),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": _selector(context, JOB_MANAGER),
            "ports": [{"name": name, "port": port, "targetPort": port, "protocol": "TCP"} for name, port in ports],
        },
    }


def job_manager(context: RunContext) -> Manifest:
    """The JobManager as a Job: an application that has ended must not be run again.

    Every start is a new pod, so that the guard sees each of them. Its refusal fails the Job at once; pods that were
    evicted or preempted do not count.
    """
    metadata = context.metadata(names.job_manager(context.name, context.run), JOB_MANAGER)
    metadata["annotations"] = {
        ANNOTATION_VERSION: str(context.version),
        ANNOTATION_HASH: context.spec_hash,
        ANNOTATION_STARTED_FROM: context.started_from,
    }
    # Rendered before the guard is asked: a Secret that is missing must not use up the permit.
    before = [render_container(context)] if is_rendered(context) else []
    container = flink_container(context, JOB_MANAGER, command(context))
    template = pod_template(context, JOB_MANAGER, container, [*before, guard_container(context)])
    template["spec"]["restartPolicy"] = "Never"
    refused = {"containerName": "guard", "operator": "In", "values": [REFUSED]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": _BACKOFF_LIMIT,
            "completions": 1,
            "parallelism": 1,
            "podFailurePolicy": {
                "rules": [
                    {"action": "FailJob", "onExitCodes": refused},
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                ]
            },
            "template": template,
        },
    }


def task_managers(context: RunContext) -> Manifest:
    """The TaskManagers as a Deployment. They find the JobManager through Flink's HA ConfigMaps."""
    metadata = context.metadata(names.task_manager(context.name, context.run), TASK_MANAGER)
    metadata["annotations"] = {ANNOTATION_REPLICAS: str(context.spec.task_manager_replicas)}
    start = ["/opt/flink/bin/taskmanager.sh", "start-foreground", "-Dtaskmanager.host=$(POD_IP)"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": context.spec.task_manager_replicas,
            "revisionHistoryLimit": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": _selector(context, TASK_MANAGER)},
            "template": pod_template(context, TASK_MANAGER, flink_container(context, TASK_MANAGER, start), []),
        },
    }


def revision(meta: ObjectMeta, version: int, spec_hash: str, spec: StreamJobSpec) -> Manifest:
    """The ControllerRevision of a job version."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": names.revision(meta.name, version),
            "namespace": meta.namespace,
            "labels": {
                constants.LABEL_MANAGED_BY: constants.MANAGED_BY,
                constants.LABEL_JOB: meta.name,
                constants.LABEL_JOB_UID: meta.uid,
            },
            "annotations": {ANNOTATION_HASH: spec_hash},
            "ownerReferences": [owner_reference(meta)],
        },
        "revision": version,
        "data": {"spec": dump(spec)},
    }


def _selector(context: RunContext, component: str) -> dict[str, str]:
    return context.labels(component)
