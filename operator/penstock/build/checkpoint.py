"""The Checkpoint objects that the operator makes, and the note beside each savepoint."""

from __future__ import annotations

from typing import Any

from penstock.api import constants
from penstock.api.base import dump, format_time
from penstock.api.checkpoint import Checkpoint
from penstock.api.streamjob import StreamJob
from penstock.model import CreateCheckpoint


def operator_made(job: StreamJob, effect: CreateCheckpoint) -> dict[str, Any]:
    """A Checkpoint that no user asked for. It has no owner: it outlives its job."""
    number = {} if effect.checkpoint_id is None else {"checkpointId": effect.checkpoint_id}
    replay = {} if effect.replay is None else {"replay": dump(effect.replay)}
    return {
        "apiVersion": constants.API_VERSION,
        "kind": "Checkpoint",
        "metadata": {
            "name": effect.name,
            "namespace": job.metadata.namespace,
            "labels": {constants.LABEL_MANAGED_BY: constants.MANAGED_BY, constants.LABEL_JOB: job.metadata.name},
            "finalizers": [constants.FINALIZER_DATA],
        },
        "spec": {
            "jobRef": {"name": job.metadata.name},
            "description": effect.description,
            "source": effect.source,
            "origin": {"run": effect.run, **number, **replay},
        },
    }


def note(checkpoint: Checkpoint) -> dict[str, Any]:
    """`penstock.json`: what a lost status or a lost cluster is found again by."""
    meta, status = checkpoint.metadata, checkpoint.status
    told = {
        "namespace": meta.namespace,
        "job": checkpoint.spec.job_ref.name,
        "jobUid": status.job_uid,
        "checkpoint": meta.name,
        "uid": meta.uid,
        "description": checkpoint.spec.description,
        "source": checkpoint.spec.source.value,
        "run": status.run,
        "jobVersion": status.job_version,
        "triggerId": status.trigger_id,
        "triggerTime": format_time(status.trigger_time) if status.trigger_time else None,
        "format": status.format.value if status.format else None,
        "flinkVersion": status.flink_version,
        "replay": dump(status.replay) if status.replay else None,
    }
    return {key: value for key, value in told.items() if value is not None}
