"""How a broker is reached, as a frozen value. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Login:
    """Who the operator is to the broker. The password is a secret: this type has no readable form."""

    mechanism: str
    """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."""
    username: str
    password: str

    def __repr__(self) -> str:
        """Name the mechanism only."""
        return f"Login({self.mechanism!r})"


@dataclass(frozen=True)
class Access:
    """How to reach a Kafka cluster."""

    servers: tuple[str, ...]
    """Brokers that are asked first, each `host:port`."""
    tls: bool = False
    """Whether the connection is encrypted."""
    authorities: str | None = None
    """Certificates (PEM) that sign the brokers'; None: those that the machine trusts. Asked for with `tls` only."""
    login: Login | None = None
    """Who the operator is; None: nobody."""
