"""What a user may say about the pods of a job: resources, and an allow-list of the pod template."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from penstock.api.base import Model, NameRef, ObjectName
from penstock.api.crd import LIST_ATOMIC, Rule, list_map
from penstock.api.quantity import Quantity, to_bytes


class ResourceList(Model):
    """Amounts of cpu and memory."""

    cpu: Quantity | None = None
    """CPUs as a Kubernetes quantity, for example 500m or 2. A fraction must be quoted: "0.5"."""
    memory: Quantity | None = None
    """Bytes as a Kubernetes quantity, for example 1Gi."""


class ResourceRequirements(Model):
    """Requests and limits, as in a Pod."""

    requests: ResourceList = Field(default_factory=ResourceList)
    """What the scheduler reserves. Default: the limits, or what the component's description says."""
    limits: ResourceList = Field(default_factory=ResourceList)
    """What the container may use at most. Default: no cpu limit; memory is limited to what Flink was given."""

    def resolved(self, cpu: str, memory: str) -> "ResourceRequirements":
        """With the defaults filled in; only the cpu limit may still be missing.

        Flink takes the memory limit as its process size, so request and limit are the same unless both are written.
        """
        limit = self.limits.memory if self.limits.memory is not None else self.requests.memory
        limit = memory if limit is None else limit
        given_cpu = self.requests.cpu if self.requests.cpu is not None else self.limits.cpu
        return ResourceRequirements(
            requests=ResourceList(
                cpu=cpu if given_cpu is None else given_cpu,
                memory=limit if self.requests.memory is None else self.requests.memory,
            ),
            limits=ResourceList(cpu=self.limits.cpu, memory=limit),
        )


class _Component(Model):
    default_cpu: ClassVar[str]
    default_memory: ClassVar[str]

    resources: ResourceRequirements = Field(default_factory=ResourceRequirements)

    def resolved_resources(self) -> ResourceRequirements:
        """The resources with this component's defaults filled in."""
        return self.resources.resolved(self.default_cpu, self.default_memory)

    @property
    def memory_bytes(self) -> int:
        """The memory limit in bytes, which is Flink's process size."""
        memory = self.resolved_resources().limits.memory
        return to_bytes(self.default_memory if memory is None else memory)


class JobManager(_Component):
    """The pod that coordinates the job."""

    default_cpu: ClassVar[str] = "250m"
    default_memory: ClassVar[str] = "1Gi"

    resources: ResourceRequirements = Field(default_factory=ResourceRequirements)
    """Resources of the JobManager's container. Default: cpu 250m requested, memory 1Gi requested and limited."""


class TaskManager(_Component):
    """The pods that run the job's tasks."""

    default_cpu: ClassVar[str] = "500m"
    default_memory: ClassVar[str] = "2Gi"

    resources: ResourceRequirements = Field(default_factory=ResourceRequirements)
    """Resources of each TaskManager's container. Default: cpu 500m requested, memory 2Gi requested and limited."""
    replicas: int | None = Field(default=None, ge=1, le=32768)
    """Number of TaskManager pods. Default: as many as parallelism needs, parallelism / slots rounded up."""
    slots: int = Field(default=1, ge=1, le=128)
    """Task slots of each TaskManager. Default 1."""


class KeyRef(Model):
    """One key of a Secret or ConfigMap of the job's namespace."""

    name: ObjectName
    """Name of the Secret or ConfigMap. Required."""
    key: str = Field(min_length=1, max_length=253)
    """Key in its data. Required."""
    optional: bool | None = None
    """Start the pod even when the key is missing. Default false."""


class EnvVarSource(Model):
    """Where the value of an environment variable comes from."""

    secret_key_ref: KeyRef | None = None
    """A key of a Secret of the job's namespace."""
    config_map_key_ref: KeyRef | None = None
    """A key of a ConfigMap of the job's namespace."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.secretKeyRef) != has(self.configMapKeyRef)",
            "spec.podTemplate.env[].valueFrom needs exactly one of secretKeyRef and configMapKeyRef",
        ),
    )


class EnvVar(Model):
    """An environment variable of the job's containers."""

    name: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the variable. FLINK_*, AWS_*, PENSTOCK_*, POD_IP and ENABLE_BUILT_IN_PLUGINS belong to Penstock.
    Required."""
    value: str | None = Field(default=None, max_length=32768)
    """The value itself. Default: empty."""
    value_from: EnvVarSource | None = None
    """Where the value comes from, instead of value."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.value) && has(self.valueFrom))",
            "spec.podTemplate.env[] has value and valueFrom; write only one of them",
        ),
        Rule(
            "!self.name.startsWith('FLINK_') && !self.name.startsWith('AWS_') && !self.name.startsWith('PENSTOCK_')"
            " && !(self.name in ['POD_IP', 'ENABLE_BUILT_IN_PLUGINS'])",
            "spec.podTemplate.env[].name: FLINK_*, AWS_*, PENSTOCK_*, POD_IP and ENABLE_BUILT_IN_PLUGINS belong to "
            "Penstock; write another name, or set it in spec.flink.configuration",
            field_path=".name",
        ),
    )


# Kubernetes would refuse others only when the pod is made.
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]


class Toleration(Model):
    """A taint that the pods accept, as in a Pod."""

    key: str | None = Field(default=None, max_length=317)
    """Key of the taint. Default: every taint."""
    operator: Literal["Exists", "Equal"] | None = None
    """How value is compared. Default Equal."""
    value: str | None = Field(default=None, max_length=63)
    """Value of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint. Default: every effect."""
    toleration_seconds: int | None = None
    """Seconds that the pod stays after a NoExecute taint appears. Default: for ever."""


_OWN_KEYS_RULE = "self.all(k, !k.startsWith('penstock.dev/') && k != 'app.kubernetes.io/managed-by')"


def _own_keys(field: str) -> dict[str, Any]:
    message = (
        f"spec.podTemplate.{field}: penstock.dev/* and app.kubernetes.io/managed-by belong to Penstock; "
        "write a key with a prefix of your own"
    )
    return {"x-kubernetes-validations": [Rule(_OWN_KEYS_RULE, message).to_dict()]}


class PodTemplate(Model):
    """What may be said about all pods of the job. Only the fields listed here exist; others are refused."""

    labels: dict[str, LabelValue] = Field(default_factory=dict, max_length=64, json_schema_extra=_own_keys("labels"))
    """Labels of the pods. penstock.dev/* and app.kubernetes.io/managed-by belong to Penstock. Default: none."""
    annotations: dict[str, str] = Field(default_factory=dict, max_length=64, json_schema_extra=_own_keys("annotations"))
    """Annotations of the pods. penstock.dev/* and app.kubernetes.io/managed-by belong to Penstock. Default: none."""
    node_selector: dict[str, LabelValue] = Field(default_factory=dict, max_length=64)
    """Labels that a node must have. Default: none."""
    tolerations: tuple[Toleration, ...] = Field(default=(), max_length=64, json_schema_extra=LIST_ATOMIC)
    """Taints that the pods accept. Default: none."""
    affinity: dict[str, Any] | None = None
    """Affinity as in a Pod (core/v1 Affinity). Default: none."""
    topology_spread_constraints: tuple[dict[str, Any], ...] = Field(
        default=(), max_length=16, json_schema_extra=LIST_ATOMIC
    )
    """Topology spread constraints as in a Pod (core/v1 TopologySpreadConstraint). Default: none."""
    priority_class_name: ObjectName | None = None
    """PriorityClass of the pods. Default: the cluster's default."""
    image_pull_secrets: tuple[NameRef, ...] = Field(default=(), max_length=16, json_schema_extra=list_map("name"))
    """Secrets with registry credentials, in the job's namespace. Default: none."""
    env: tuple[EnvVar, ...] = Field(default=(), max_length=128, json_schema_extra=list_map("name"))
    """Environment variables of the job's containers. Default: none."""
