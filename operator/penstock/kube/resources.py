"""Where in the API each kind lives. Pure. A kind that is not here is not touched by Penstock."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.api.constants import GROUP, VERSION


@dataclass(frozen=True)
class Resource:
    """One kind of the API."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str | None = None, name: str | None = None, sub: str | None = None) -> str:
        """The URL path of a collection, an object or a subresource."""
        root = f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return root + scope + "/" + "/".join(part for part in (self.plural, name, sub) if part)


_OWN = f"{GROUP}/{VERSION}"

STREAM_JOBS = Resource(_OWN, "StreamJob", "streamjobs")
CHECKPOINTS = Resource(_OWN, "Checkpoint", "checkpoints")
STORES = Resource(_OWN, "CheckpointStore", "checkpointstores", namespaced=False)
SOURCE_CONNECTIONS = Resource(_OWN, "SourceConnection", "sourceconnections", namespaced=False)
NAMESPACES = Resource("v1", "Namespace", "namespaces", namespaced=False)
PODS = Resource("v1", "Pod", "pods")
SERVICES = Resource("v1", "Service", "services")
CONFIG_MAPS = Resource("v1", "ConfigMap", "configmaps")
SECRETS = Resource("v1", "Secret", "secrets")
SERVICE_ACCOUNTS = Resource("v1", "ServiceAccount", "serviceaccounts")
EVENTS = Resource("v1", "Event", "events")
JOBS = Resource("batch/v1", "Job", "jobs")
DEPLOYMENTS = Resource("apps/v1", "Deployment", "deployments")
REVISIONS = Resource("apps/v1", "ControllerRevision", "controllerrevisions")
ROLES = Resource("rbac.authorization.k8s.io/v1", "Role", "roles")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
LEASES = Resource("coordination.k8s.io/v1", "Lease", "leases")
CRDS = Resource("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)

ALL = (
    STREAM_JOBS, CHECKPOINTS, STORES, SOURCE_CONNECTIONS, NAMESPACES, PODS, SERVICES, CONFIG_MAPS, SECRETS,
    SERVICE_ACCOUNTS, EVENTS, JOBS, DEPLOYMENTS, REVISIONS, ROLES, ROLE_BINDINGS, LEASES, CRDS,
)  # fmt: skip
_BY_KIND = {(resource.api_version, resource.kind): resource for resource in ALL}


def resource_of(manifest: dict[str, object]) -> Resource:
    """The resource of a manifest, by its apiVersion and kind."""
    return _BY_KIND[str(manifest["apiVersion"]), str(manifest["kind"])]
