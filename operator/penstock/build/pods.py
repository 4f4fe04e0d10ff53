"""Pods that fit the restricted Pod Security Standard, with what the allow-list of `spec.podTemplate` adds."""

from __future__ import annotations

from typing import Any

from penstock import names
from penstock.api import constants
from penstock.api.base import dump
from penstock.build.context import JOB_MANAGER, TASK_MANAGER, RunContext
from penstock.build.flink_config import BLOB_PORT, REST_PORT, RPC_PORT
from penstock.build.program import SCRIPT_PATH, argument_secrets, is_rendered, script_secrets
from penstock.substitution import VARIABLE

Manifest = dict[str, Any]
CONFIG_PATH = "/opt/flink/conf"
_TEMPLATE_PATH = "/opt/penstock-template"
_FLINK_USER = 9999
SMALL = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}}
"""What an init container in Python needs."""
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def pod_template(context: RunContext, component: str, container: Manifest, init_containers: list[Manifest]) -> Manifest:
    """A pod template of one component of a run."""
    given = context.spec.pod_template
    spec: Manifest = {
        "serviceAccountName": context.service_account,
        "terminationGracePeriodSeconds": 10,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _FLINK_USER,
            "runAsGroup": _FLINK_USER,
            "fsGroup": _FLINK_USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": _volumes(context, component),
    }
    if init_containers:
        spec["initContainers"] = init_containers
    chosen = dump(given)
    copied = ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints", "priorityClassName")
    spec |= {key: chosen[key] for key in (*copied, "imagePullSecrets") if chosen.get(key)}
    metadata: Manifest = {"labels": dict(given.labels) | context.labels(component)}
    if given.annotations:
        metadata["annotations"] = dict(given.annotations)
    return {"metadata": metadata, "spec": spec}


def flink_container(context: RunContext, component: str, command: list[str]) -> Manifest:
    """The container that runs Flink's process."""
    manager = context.spec.task_manager if component == TASK_MANAGER else context.spec.job_manager
    container: Manifest = {
        "name": component,
        "image": context.image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "env": _environment(context, component),
        # The end of the log becomes the reason that `kubectl get streamjob -o yaml` shows.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": dump(manager.resolved_resources()),
        "securityContext": dict(RESTRICTED),
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_PATH},
            *_script_mounts(context, component),
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
            {"name": "log", "mountPath": "/opt/flink/log"},
        ],
    }
    if component == JOB_MANAGER:
        ports = (("rpc", RPC_PORT), ("blob", BLOB_PORT), ("rest", REST_PORT))
        container["ports"] = [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports]
        container["readinessProbe"] = {
            "httpGet": {"path": "/overview", "port": REST_PORT},
            "periodSeconds": 5,
            "timeoutSeconds": 3,
        }
    return container


def guard_container(context: RunContext) -> Manifest:
    """The init container that decides whether this pod may start the run (see `penstock.guard`)."""
    return {
        "name": "guard",
        "image": context.operator_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "penstock.guard"],
        "args": [
            "--permit",
            names.permit(context.name, context.run),
            "--selector",
            names.high_availability_selector(context.name, context.run),
            "--run",
            context.run,
            "--pod",
            "$(POD_UID)",
        ],
        "env": [{"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}],
        "resources": dict(SMALL),
        "securityContext": dict(RESTRICTED),
    }


def render_container(context: RunContext) -> Manifest:
    """The init container that puts the values of Secrets into the script (see `penstock.render`).

    The kubelet does not start it before every Secret and key is there, and says in the pod's status what it misses.
    """
    return {
        "name": "render",
        "image": context.operator_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "penstock.render"],
        "args": ["--template", f"{_TEMPLATE_PATH}/job.sql", "--script", f"{SCRIPT_PATH}/job.sql"],
        "env": script_secrets(context),
        "resources": dict(SMALL),
        "securityContext": dict(RESTRICTED),
        "volumeMounts": [
            {"name": "job", "mountPath": _TEMPLATE_PATH, "readOnly": True},
            {"name": "script", "mountPath": SCRIPT_PATH},
        ],
    }


def _volumes(context: RunContext, component: str) -> list[Manifest]:
    volumes: list[Manifest] = [{"name": "config", "configMap": {"name": names.config(context.name, context.run)}}]
    if component != TASK_MANAGER:
        volumes.append({"name": "job", "secret": {"secretName": names.script(context.name, context.run)}})
        if is_rendered(context):
            # In memory, as Kubernetes keeps Secrets that are mounted; render's memory limit is its limit.
            volumes.append({"name": "script", "emptyDir": {"medium": "Memory"}})
    return [*volumes, {"name": "tmp", "emptyDir": {}}, {"name": "log", "emptyDir": {}}]


def _script_mounts(context: RunContext, component: str) -> list[Manifest]:
    """Whoever runs the program has the script; the TaskManagers get their tasks from the JobManager."""
    if component == TASK_MANAGER:
        return []
    return [{"name": "script" if is_rendered(context) else "job", "mountPath": SCRIPT_PATH, "readOnly": True}]


def _environment(context: RunContext, component: str) -> list[Manifest]:
    own: list[Manifest] = [
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}},
        {"name": "AWS_REGION", "value": context.store.spec.region},
        # What a JVM of this size would reserve in 64 MiB arenas for each thread.
        {"name": "MALLOC_ARENA_MAX", "value": "2"},
    ]
    secret = context.store.spec.job_credentials.secret_name
    if secret:
        keys = (
            ("AWS_ACCESS_KEY_ID", constants.SECRET_ACCESS_KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", constants.SECRET_SECRET_ACCESS_KEY),
        )
        own += [
            {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}} for variable, key in keys
        ]
    # The API server refuses a variable of that name; one that was stored before it did must not replace a secret.
    given = [dump(each) for each in context.spec.pod_template.env if not each.name.startswith(VARIABLE)]
    return own + given + ([] if component == TASK_MANAGER else argument_secrets(context))
