"""The SourceConnection: how the operator reaches a broker, to measure what the broker still holds."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from penstock.api import constants
from penstock.api.base import Model, NameRef, Time
from penstock.api.conditions import Conditions
from penstock.api.crd import LIST_SET, Column, Resource, Rule, list_map, rules
from penstock.api.meta import ObjectMeta
from penstock.api.store import AllowedNamespaces

_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
ADDRESS = r"^([a-zA-Z0-9_]([-a-zA-Z0-9_.]*[a-zA-Z0-9_])?|\[[0-9a-fA-F:.]+\]):" + _PORT + "$"
"""`host:port`, also of an IPv6 address in brackets. A comma would be a second address to the Kafka client."""

Address = Annotated[
    str,
    Field(
        max_length=300,
        json_schema_extra=rules(
            Rule(
                f"self.matches(r'{ADDRESS}')",
                "spec.kafka.bootstrapServers[] must be host:port, without scheme, path or comma; "
                "write for example kafka-0.kafka.svc:9092",
            )
        ),
    ),
]


class Mechanism(StrEnum):
    """How SASL proves who the operator is."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


class Tls(Model):
    """The connection is encrypted, and the broker's certificate is for the host name that was asked for."""

    ca_secret_ref: NameRef | None = None
    """A Secret in the operator's namespace with the certificates (PEM) that sign the broker's. Default: the
    authorities that the operator's image trusts."""
    ca_key: str = Field(default="ca.crt", min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")
    """The key of that Secret. Default ca.crt."""


class Sasl(Model):
    """How the operator signs in."""

    mechanism: Mechanism
    """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. PLAIN sends the password and needs tls. Required."""
    secret_ref: NameRef
    """A Secret in the operator's namespace with the keys username and password. Required."""


class Security(Model):
    """How the connection is protected; neither tls nor sasl means plain text and no user."""

    tls: Tls | None = None
    """The connection is encrypted; `{}` is enough for certificates that the operator's image trusts. Default: not."""
    sasl: Sasl | None = None
    """How the operator signs in. Default: it does not."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.sasl) || self.sasl.mechanism != 'PLAIN' || has(self.tls)",
            "spec.kafka.security.sasl.mechanism PLAIN sends the password as it is; add spec.kafka.security.tls, "
            "or write SCRAM-SHA-512",
        ),
    )


class KafkaConnection(Model):
    """A Kafka cluster."""

    bootstrap_servers: tuple[Address, ...] = Field(
        max_length=32,
        json_schema_extra=LIST_SET
        | rules(
            Rule(
                "size(self) > 0",
                "spec.kafka.bootstrapServers must name at least one broker; write for example [kafka-0.kafka.svc:9092]",
            )
        ),
    )
    """Brokers that are asked first, each as host:port. Required."""
    security: Security = Field(default_factory=Security)
    """How the connection is protected. Default: plain text and no user."""


class SourceConnectionSpec(Model):
    """Which broker, and who may name it."""

    kafka: KafkaConnection
    """A Kafka cluster. Required."""
    allowed_namespaces: AllowedNamespaces
    """Whose jobs may name the connection. Required."""


class SourceConnectionStatus(Model):
    """Whether the broker can be asked."""

    cluster_id: str | None = None
    """The id that the Kafka cluster has given itself."""
    brokers: int | None = None
    """How many brokers the cluster has at present."""
    last_checked: Time | None = None
    """When the broker was last asked; up to ten minutes behind."""
    observed_generation: int | None = None
    """The metadata.generation that this status was made from."""
    conditions: Conditions = Field(default=(), json_schema_extra=list_map("type"))
    """Ready, and the abnormal-true Reconciling and Stalled."""


class SourceConnection(Model):
    """How the operator reaches a broker to measure what it still holds; a tenant names it and sees no secret."""

    api_version: str = constants.API_VERSION
    kind: str = "SourceConnection"
    metadata: ObjectMeta
    spec: SourceConnectionSpec
    """Which broker, and who may name it."""
    status: SourceConnectionStatus = Field(default_factory=SourceConnectionStatus)
    """Whether the broker can be asked. Written by the operator only."""

    resource: ClassVar[Resource] = Resource(
        kind="SourceConnection",
        plural=constants.SOURCE_CONNECTIONS,
        short_name="srcconn",
        scope="Cluster",
        columns=(
            Column("Servers", ".spec.kafka.bootstrapServers"),
            Column("Brokers", ".status.brokers", "integer"),
            Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
            Column("Reason", '.status.conditions[?(@.type=="Ready")].reason'),
            Column("Age", ".metadata.creationTimestamp", "date"),
            Column("Cluster", ".status.clusterId", priority=1),
            Column("Checked", ".status.lastChecked", "date", priority=1),
        ),
    )
