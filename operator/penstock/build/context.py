"""What every builder needs to know of a run."""

from __future__ import annotations

from dataclasses import dataclass

from penstock import names
from penstock.api import constants
from penstock.api.meta import ObjectMeta
from penstock.api.replay import Replay, variables
from penstock.api.store import CheckpointStore
from penstock.api.streamjob import StreamJobSpec
from penstock.store.layout import Place
from penstock.substitution import with_constants

ANNOTATION_VERSION = f"{constants.GROUP}/job-version"
ANNOTATION_HASH = f"{constants.GROUP}/spec-hash"
ANNOTATION_REPLICAS = f"{constants.GROUP}/replicas"
ANNOTATION_STARTED_FROM = f"{constants.GROUP}/started-from"

JOB_MANAGER = "jobmanager"
TASK_MANAGER = "taskmanager"
PREFLIGHT = "preflight"


@dataclass(frozen=True)
class RunContext:
    """One run of one StreamJob, with all that its objects are made of."""

    meta: ObjectMeta
    spec: StreamJobSpec
    """The spec of the job version, as its ControllerRevision recorded it."""
    store: CheckpointStore
    place: Place
    run: str
    version: int
    spec_hash: str
    restore_from: str
    """Location to restore from; empty: none."""
    started_from: str
    """JSON of the StartedFrom, kept on the Job so that a lost status can be recovered."""
    operator_image: str
    default_images: dict[str, str]
    """Flink image by Flink version, for jobs that name none."""
    replay: Replay | None = None
    """The replay that the run begins or goes on with."""
    allow_non_restored_state: bool = False
    """Whether Flink may give up state that the program has no operator for."""
    guarded: bool = False
    """Whether Flink refuses a program that changes what its state depends upon."""
    preflight: bool = False
    """Whether it is no run, but a look at a start that has not begun; then `run` is the id of that."""

    @property
    def name(self) -> str:
        """The StreamJob's name."""
        return self.meta.name

    @property
    def namespace(self) -> str:
        """The StreamJob's namespace."""
        return self.meta.namespace

    @property
    def image(self) -> str:
        """The Flink image."""
        return self.spec.flink.image or self.default_images[self.spec.flink.version]

    @property
    def service_account(self) -> str:
        """The service account of the pods."""
        return self.spec.service_account_name or names.FLINK_SERVICE_ACCOUNT

    @property
    def script(self) -> str | None:
        """The SQL script with this run's constants in it, and its secrets as they are written; None without one."""
        sql = self.spec.job.sql
        return with_constants(sql.script, variables(self.replay)) if sql is not None else None

    @property
    def arguments(self) -> list[str]:
        """The same for a jar's arguments."""
        jar = self.spec.job.jar
        return [with_constants(each, variables(self.replay)) for each in jar.args] if jar is not None else []

    def labels(self, component: str | None = None) -> dict[str, str]:
        """Labels that find the run's objects, and one component's pods."""
        labels = {
            constants.LABEL_MANAGED_BY: constants.MANAGED_BY,
            constants.LABEL_JOB: self.name,
            constants.LABEL_JOB_UID: self.meta.uid,
            constants.LABEL_PREFLIGHT if self.preflight else constants.LABEL_RUN: self.run,
        }
        return labels | ({constants.LABEL_COMPONENT: component} if component else {})

    def metadata(self, name: str, component: str | None = None) -> dict[str, object]:
        """Metadata of one of the run's objects; it goes with its StreamJob."""
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": self.labels(component),
            "ownerReferences": [owner_reference(self.meta)],
        }


def owner_reference(meta: ObjectMeta) -> dict[str, object]:
    """The StreamJob as controller of an object. Foreground deletion is not blocked: the finalizer does the waiting."""
    return {
        "apiVersion": constants.API_VERSION,
        "kind": "StreamJob",
        "name": meta.name,
        "uid": meta.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
