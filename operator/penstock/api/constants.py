"""The names that Penstock writes into Kubernetes: group, labels, finalizers, condition types."""

from typing import Final

GROUP: Final = "penstock.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "penstock"

STREAMJOBS: Final = "streamjobs"
CHECKPOINTS: Final = "checkpoints"
CHECKPOINT_STORES: Final = "checkpointstores"
SOURCE_CONNECTIONS: Final = "sourceconnections"

LABEL_JOB: Final = "penstock.dev/job"
LABEL_JOB_UID: Final = "penstock.dev/job-uid"
LABEL_RUN: Final = "penstock.dev/run"
LABEL_PREFLIGHT: Final = "penstock.dev/preflight-id"
"""In the place of the run's label on what is made to look at a start before it begins: none of it is of a run."""
LABEL_COMPONENT: Final = "penstock.dev/component"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "penstock"

ANNOTATION_REBUILT_FROM: Final = "penstock.dev/rebuilt-from"
"""On a Checkpoint that `penstock rebuild` has made: the location that it stands for. It is found there, or it fails."""

# One finalizer a kind, each named after what must be gone before the object may go.
FINALIZER_RUN: Final = "penstock.dev/run"
FINALIZER_DATA: Final = "penstock.dev/data"
FINALIZER_IN_USE: Final = "penstock.dev/in-use"

VERIFY: Final = "penstock.dev/verify"
"""Annotation of a Checkpoint: any new text has it verified again."""
PREFLIGHT: Final = "penstock.dev/preflight"
"""Annotation of a StreamJob: `<Checkpoint> <any new text>` has a start from that Checkpoint looked at (a dry run)."""
LIST: Final = "penstock.dev/list"
"""Annotation of a StreamJob: numbers (with commas) of its run's own checkpoints that are to have a Checkpoint each."""

ESTIMATE: Final = "penstock.dev/estimate"
"""Annotation of a StreamJob: any new word, and times (RFC 3339): how many records lie between each and the end."""

READY: Final = "Ready"
RECONCILING: Final = "Reconciling"
STALLED: Final = "Stalled"
RESTORABLE: Final = "Restorable"
VERIFIED: Final = "Verified"
DELETING: Final = "Deleting"
SOURCES_AT_RISK: Final = "SourcesAtRisk"
CAUGHT_UP: Final = "CaughtUp"
CHECKPOINTS_OVERRIDDEN: Final = "CheckpointsOverridden"

UNREADABLE: Final = "Unreadable"
"""Reason of Stalled when an object does not fit the models."""

# Keys of the Secrets that a CheckpointStore names.
SECRET_ACCESS_KEY_ID: Final = "accessKeyId"  # noqa: S105 - the name of a key, not a secret
SECRET_SECRET_ACCESS_KEY: Final = "secretAccessKey"  # noqa: S105 - the name of a key, not a secret
# Keys of the Secret that a SourceConnection names for SASL.
SECRET_USERNAME: Final = "username"  # noqa: S105 - the name of a key, not a secret
SECRET_PASSWORD: Final = "password"  # noqa: S105 - the name of a key, not a secret

JOB_NAME_MAX_LENGTH: Final = 36
SUPPORTED_FLINK_VERSIONS: Final = ("2.3",)
