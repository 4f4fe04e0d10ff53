"""The one place for names of Kubernetes objects. Pure.

A StreamJob's name has at most 36 characters, so that `<job>-<8 of run>` fits Flink's limit of 45 for a cluster id and
every object's name fits 63.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime

FLINK_SERVICE_ACCOUNT = "penstock-flink"
_SHORT = 8
_MINUTE = "%Y%m%d%H%M"


def short(run: str) -> str:
    """The first 8 characters of a run's id, as object names carry it."""
    return run[:_SHORT]


def cluster_id(job: str, run: str) -> str:
    """Flink's `kubernetes.cluster-id`, and the stem of every object of the run."""
    return f"{job}-{short(run)}"


def job_manager(job: str, run: str) -> str:
    """Name of the JobManager's Job and of its Service."""
    return f"{cluster_id(job, run)}-jobmanager"


def task_manager(job: str, run: str) -> str:
    """Name of the TaskManagers' Deployment."""
    return f"{cluster_id(job, run)}-taskmanager"


def config(job: str, run: str) -> str:
    """Name of the ConfigMap with Flink's configuration."""
    return f"{cluster_id(job, run)}-config"


def script(job: str, run: str) -> str:
    """Name of the Secret with the job's script and arguments."""
    return f"{cluster_id(job, run)}-job"


def permit(job: str, run: str) -> str:
    """Name of the ConfigMap that allows the run's one start from its restore path (see `penstock.guard`)."""
    return f"{cluster_id(job, run)}-permit"


def preflight(job: str, id_: str) -> str:
    """Name of the Job that looks at a start before it begins."""
    return f"{cluster_id(job, id_)}-preflight"


def preflight_id(*parts: str) -> str:
    """The id of what is made to look at one start: the same for the same start, whoever asks again (32 hex digits)."""
    return _digest("preflight", *parts)[:32]


def revision(job: str, version: int) -> str:
    """Name of the ControllerRevision of a job version."""
    return f"{job}-v{version}"


def stop_checkpoint(job: str, source: str, run: str, attempt: int) -> str:
    """Name of the Checkpoint that a stop or an upgrade takes: the same for the same attempt, whoever asks again."""
    return f"{job}-{source.lower()}-{_digest(run, str(attempt))[:_SHORT]}"


def retained_checkpoint(job: str, run: str, number: int) -> str:
    """Name of the Checkpoint of one that Flink took by itself."""
    return f"{job}-chk-{short(run)}-{number}"


def scheduled_checkpoint(job: str, time: datetime) -> str:
    """Name of the Checkpoint of one time of the schedule: the same for the same minute, whoever asks again."""
    return f"{job}-schedule-{time.astimezone(UTC):{_MINUTE}}"


def scheduled_time(job: str, name: str) -> datetime | None:
    """The time in the name of a scheduled Checkpoint; None when it has none."""
    try:
        time = datetime.strptime(name.removeprefix(f"{job}-schedule-"), _MINUTE).replace(tzinfo=UTC)
    except ValueError:
        return None
    return time if scheduled_checkpoint(job, time) == name else None


def checkpoint_pointers(job: str, run: str) -> str:
    """Name of the HA ConfigMap in which Flink keeps the run's checkpoint pointers (as Flink 2.3 names it, measured)."""
    return f"{cluster_id(job, run)}-{run}-config-map"


def high_availability_selector(job: str, run: str) -> str:
    """Label selector of the HA ConfigMaps that Flink makes for a run (labels as Flink 2.3 sets them, measured)."""
    return f"app={cluster_id(job, run)},type=flink-native-kubernetes"


def trigger_id(checkpoint_uid: str, attempt: int) -> str:
    """Flink's trigger id of one attempt at one Checkpoint: 32 hex digits. Posted twice, Flink takes one savepoint."""
    return _digest("trigger", checkpoint_uid, str(attempt))[:32]


def service_host(job: str, run: str, namespace: str) -> str:
    """Host name of the run's JobManager inside of the cluster."""
    return f"{job_manager(job, run)}.{namespace}.svc"


_RUN = re.compile(r"[0-9a-f]{32}")


def is_run(text: str) -> bool:
    """Whether a text has the form of a run's id (a Flink job id)."""
    return _RUN.fullmatch(text) is not None


def _digest(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()
