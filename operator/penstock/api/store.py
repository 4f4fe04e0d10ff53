"""The CheckpointStore: where checkpoints lie and who may use it."""

from typing import Annotated, ClassVar

from pydantic import Field

from penstock.api import constants
from penstock.api.base import Model, NameRef, ObjectName, Time
from penstock.api.conditions import Conditions
from penstock.api.crd import LIST_ATOMIC, LIST_SET, Column, Resource, Rule, list_map, rules
from penstock.api.meta import ObjectMeta

Namespace = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]


def _kept(field: str) -> Rule:
    return Rule(
        "self == oldSelf",
        f"spec.{field} cannot be changed: checkpoints lie there; make a new CheckpointStore",
        reason="FieldValueForbidden",
    )


class Credentials(Model):
    """How the operator signs in."""

    secret_ref: NameRef
    """A Secret in the operator's namespace with the keys accessKeyId and secretAccessKey. Required."""


class JobCredentials(Model):
    """How the job's pods sign in: exactly one of secretName and serviceAccount."""

    secret_name: ObjectName | None = None
    """A Secret of this name in each job's own namespace, with the keys accessKeyId and secretAccessKey."""
    service_account: bool = False
    """True: the job's service account is known to the cloud (for example by an IAM role annotation), and the pods get
    no keys. Default false."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.secretName) != self.serviceAccount",
            "spec.jobCredentials needs exactly one of secretName and serviceAccount: true",
        ),
    )


class AllowedNamespaces(Model):
    """Whose jobs may use the store: exactly one of names and all."""

    names: tuple[Namespace, ...] = Field(default=(), max_length=1024, json_schema_extra=LIST_SET)
    """The namespaces."""
    all: bool = False
    """True: every namespace. Default false."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.names) && size(self.names) > 0) != self.all",
            "spec.allowedNamespaces needs exactly one of names: [...] and all: true",
        ),
    )

    def allows(self, namespace: str) -> bool:
        """Whether jobs of this namespace may use the store."""
        return self.all or namespace in self.names


class CheckpointStoreSpec(Model):
    """An S3 bucket, or a part of one."""

    endpoint: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        json_schema_extra=rules(
            Rule(
                "isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''"
                " && url(self).getEscapedPath() in ['', '/'] && !self.contains('@') && !self.contains('?')",
                "spec.endpoint must be the URL of an S3 server, without path or user; "
                "write for example https://s3.example.com or http://minio.minio:9000",
            )
        ),
    )
    """URL of the S3 server, http or https. Default: AWS."""
    region: str = Field(default="us-east-1", min_length=1, max_length=64)
    """Region that requests are signed for. Default us-east-1."""
    bucket: str = Field(
        min_length=3,
        max_length=63,
        pattern=r"^[a-z0-9][-.a-z0-9]*[a-z0-9]$",
        json_schema_extra=rules(_kept("bucket")),
    )
    """The bucket; it must exist. Cannot be changed. Required."""
    prefix: str = Field(
        default="",
        max_length=512,
        pattern=r"^[-A-Za-z0-9_.=/]*$",
        json_schema_extra=rules(
            _kept("prefix"),
            Rule(
                "!self.startsWith('/') && !self.endsWith('/') && !self.contains('//') && !self.contains('..')",
                "spec.prefix must not begin or end with /, nor hold // or ..; write for example team/flink",
            ),
        ),
    )
    """Directory in the bucket that everything lies under, without leading or trailing slash. Cannot be changed.
    Default: the bucket's root."""
    path_style: bool = True
    """Whether the bucket is named in the URL's path instead of its host. Default true."""
    credentials: Credentials | None = None
    """How the operator signs in. Default: its own identity (environment, IAM role)."""
    job_credentials: JobCredentials
    """How the job's pods sign in. Required."""
    allowed_namespaces: AllowedNamespaces
    """Whose jobs may use the store. Required."""


class Orphans(Model):
    """What lies in the store and belongs to nobody any more: its object is gone, or it was never completed."""

    count: int | None = None
    """How many directories and unfinished deletions; `penstock orphans` lists them. What was written to within an hour
    is not counted."""
    bytes: int | None = None
    """Their size, in bytes."""
    size_text: str | None = None
    """The size for people."""
    oldest: Time | None = None
    """When the first of it was written."""
    checked_at: Time | None = None
    """When this was found; up to six hours behind while nothing changes."""
    unread: int | None = None
    """How many directories of jobs could not be looked at; they are not in the figures."""
    message: str | None = None
    """Why there are no figures, or why they are of an earlier time."""


class CheckpointStoreStatus(Model):
    """Whether the store can be used."""

    cluster_id: str | None = None
    """The uid of the kube-system namespace that the store's mark names: the cluster that it belongs to."""
    warnings: tuple[str, ...] = Field(default=(), json_schema_extra=LIST_ATOMIC)
    """What makes "gone" not gone: versioning, object lock, lifecycle rules."""
    last_checked: Time | None = None
    """When the store was last asked; up to ten minutes behind."""
    orphans: Orphans | None = None
    """What belongs to nobody any more."""
    observed_generation: int | None = None
    """The metadata.generation that this status was made from."""
    conditions: Conditions = Field(default=(), json_schema_extra=list_map("type"))
    """Ready, and the abnormal-true Reconciling and Stalled."""


class CheckpointStore(Model):
    """Where checkpoints lie and who may use it; a tenant names it and never writes a URI."""

    api_version: str = constants.API_VERSION
    kind: str = "CheckpointStore"
    metadata: ObjectMeta
    spec: CheckpointStoreSpec
    """An S3 bucket, or a part of one."""
    status: CheckpointStoreStatus = Field(default_factory=CheckpointStoreStatus)
    """Whether the store can be used. Written by the operator only."""

    resource: ClassVar[Resource] = Resource(
        kind="CheckpointStore",
        plural=constants.CHECKPOINT_STORES,
        short_name="ckstore",
        scope="Cluster",
        columns=(
            Column("Bucket", ".spec.bucket"),
            Column("Prefix", ".spec.prefix"),
            Column("Endpoint", ".spec.endpoint"),
            Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
            Column("Reason", '.status.conditions[?(@.type=="Ready")].reason'),
            Column("Age", ".metadata.creationTimestamp", "date"),
            Column("Region", ".spec.region", priority=1),
            Column("Checked", ".status.lastChecked", "date", priority=1),
            Column("Warnings", ".status.warnings", priority=1),
            Column("Orphans", ".status.orphans.count", "integer", "What belongs to nobody any more", priority=1),
        ),
    )
