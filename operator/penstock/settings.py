"""Every setting of the operator, read once from the environment."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Settings:
    """The operator's settings; each is an environment variable `PENSTOCK_<NAME>`."""

    namespace: str = "penstock-system"
    """The operator's own namespace: where its lease and the stores' credentials are (PENSTOCK_NAMESPACE)."""
    image: str = "penstock.dev/operator:dev"
    """The operator's own image: the guard in the JobManager pods runs from it (PENSTOCK_IMAGE)."""
    identity: str = field(default_factory=socket.gethostname)
    """Who this process is in the lease (PENSTOCK_IDENTITY); the pod's name by default."""
    flink_image: str = "docker.io/library/flink:2.3.0-java17"
    """Flink image of jobs that name none (PENSTOCK_FLINK_IMAGE)."""
    watch_namespaces: tuple[str, ...] = ()
    """Namespaces to watch, comma-separated (PENSTOCK_WATCH_NAMESPACES); empty: all."""
    workers: int = 8
    """How many StreamJobs are worked on at the same time (PENSTOCK_WORKERS)."""
    lease_seconds: int = 15
    """How long a lease is good without being renewed (PENSTOCK_LEASE_SECONDS)."""
    orphans_seconds: int = 3600
    """How often each store is searched for what belongs to nobody any more (PENSTOCK_ORPHANS_SECONDS)."""
    probe_port: int = 8080
    """Port of the liveness probe (PENSTOCK_PROBE_PORT)."""
    flink_address: str = "http://{host}:8081"
    """How a JobManager is reached; `{host}` is its Service's name (PENSTOCK_FLINK_ADDRESS)."""
    log_level: str = "INFO"
    """Level of the log (PENSTOCK_LOG_LEVEL)."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings.

        Raises:
            ValueError: with the variable's name, when a number is not one or is less than 1, or there is no such level.
        """
        env = os.environ if environment is None else environment
        found: dict[str, object] = {}
        for name in ("namespace", "image", "identity", "flink_image", "flink_address", "log_level"):
            value = env.get(f"PENSTOCK_{name.upper()}")
            if value:
                found[name] = value
        for name in ("workers", "lease_seconds", "orphans_seconds", "probe_port"):
            value = env.get(f"PENSTOCK_{name.upper()}")
            if value:
                found[name] = _positive(f"PENSTOCK_{name.upper()}", value)
        if "log_level" in found:
            found["log_level"] = _level("PENSTOCK_LOG_LEVEL", str(found["log_level"]))
        watched = env.get("PENSTOCK_WATCH_NAMESPACES", "")
        found["watch_namespaces"] = tuple(part.strip() for part in watched.split(",") if part.strip())
        return cls(**found)  # type: ignore[arg-type]

    @property
    def flink_images(self) -> dict[str, str]:
        """Flink image by Flink version."""
        return {"2.3": self.flink_image}


def _positive(name: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        msg = f"{name} must be a whole number of at least 1, not {value!r}"
        raise ValueError(msg)
    return int(value)


def _level(name: str, value: str) -> str:
    if value.upper() not in logging.getLevelNamesMapping():
        msg = f"{name} must be DEBUG, INFO, WARNING or ERROR, not {value!r}"
        raise ValueError(msg)
    return value.upper()
