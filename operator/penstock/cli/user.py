"""The options of commands that work in one namespace with the user's own rights, and the connection that they make."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.remote import as_one

if TYPE_CHECKING:
    from penstock.kube.client import Kube

_OPTIONS = (
    click.option("-n", "--namespace", help="Without it: the one of the context, else default."),
    click.option("--kubeconfig", metavar="FILE", help="Without it: as kubectl finds it."),
    click.option("--context", help="The context of the kubeconfig. Without it: the current one."),
)


@dataclass(frozen=True)
class User:
    """What a user has said about Kubernetes and the namespace."""

    namespace: str | None
    kubeconfig: str | None
    context: str | None


@dataclass(frozen=True)
class Session:
    """A connection with the user's own rights, and the namespace that commands are about."""

    kube: Kube
    namespace: str


def user_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options; it gets them as one argument `user`."""
    return as_one(command, "user", User, _OPTIONS)


@asynccontextmanager
async def connect(user: User) -> AsyncIterator[Session]:
    """Reach Kubernetes.

    Raises:
        Refused: the kubeconfig cannot be used.
    """
    # Imported here: the library takes most of a second, which --help need not wait for.
    from penstock.kube import client  # noqa: PLC0415

    kube = client.Kube(await client.load_user_configuration(user.kubeconfig, user.context), client.USER_MANAGER)
    try:
        yield Session(kube, user.namespace or client.user_namespace(user.kubeconfig, user.context))
    finally:
        await kube.close()
