"""The part of Kubernetes' ObjectMeta that Penstock reads."""

from pydantic import Field

from penstock.api.base import Model, Time


class OwnerReference(Model):
    """The object that this one is deleted with."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(Model):
    """A subset of metav1.ObjectMeta; `namespace` is empty for cluster-scoped objects."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()

    @property
    def terminating(self) -> bool:
        """Whether the object was deleted and waits for its finalizers."""
        return self.deletion_timestamp is not None
