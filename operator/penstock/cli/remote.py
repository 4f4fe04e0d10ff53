"""The options that say how S3 and Kubernetes are reached, and the store that they lead to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from penstock.store.client import ObjectStore

_OPTIONS = (
    click.option(
        "--endpoint",
        metavar="URL",
        help="The S3 server. Without it: as the CheckpointStore or the AWS configuration says.",
    ),
    click.option("--region", help="The region that requests are signed for. Without it: as for the server."),
    click.option("--profile", help="The profile of the AWS configuration to take credentials from."),
    click.option(
        "--path-style/--host-style",
        default=None,
        help="Whether the bucket is in the path or in the host name of the URL. Without it: as the CheckpointStore "
        "says, or path with --endpoint.",
    ),
)


@dataclass(frozen=True)
class Remote:
    """What a user has said about S3."""

    endpoint: str | None
    region: str | None
    profile: str | None
    path_style: bool | None

    def store(self, bucket: str) -> ObjectStore:
        """A client of a bucket.

        Raises:
            Refused: when endpoint, region or profile cannot be one.
        """
        # Imported here: boto3 takes most of a second, which a local path need not wait for.
        from penstock.store.client import Access, ObjectStore  # noqa: PLC0415
        from penstock.store.layout import Place  # noqa: PLC0415

        by_path = self.endpoint is not None if self.path_style is None else self.path_style
        where = (Place(bucket), self.endpoint, self.region, by_path)
        return ObjectStore(Access(*where, access_key=None, secret_key=None, profile=self.profile))


@dataclass(frozen=True)
class Login:
    """What a user has said about Kubernetes."""

    kubeconfig: str | None
    context: str | None
    operator_namespace: str


_CLUSTER_OPTIONS = (
    click.option("--kubeconfig", metavar="FILE", help="Without it: as kubectl finds it."),
    click.option("--context", help="The context of the kubeconfig. Without it: the current one."),
    click.option(
        "--operator-namespace",
        default="penstock-system",
        show_default=True,
        help="Where the Secrets of CheckpointStores are.",
    ),
)


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say how Kubernetes is reached; it gets them as one argument `login`."""
    return as_one(command, "login", Login, _CLUSTER_OPTIONS)


def s3_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options; it gets them as one argument `remote`."""
    return as_one(command, "remote", Remote, _OPTIONS)


def as_one(
    command: Callable[..., Any], argument: str, kind: type, options: tuple[Callable[..., Any], ...]
) -> Callable[..., Any]:
    """Give a command some options; it gets them as one argument, a dataclass whose fields are named as they are."""
    fields = tuple(field.name for field in dataclasses.fields(kind))

    def with_one(**given: Any) -> Any:  # noqa: ANN401 - click's own signature
        return command(**{argument: kind(**{name: given.pop(name) for name in fields})}, **given)

    # click keeps the options of those that were put on earlier beside the function.
    with_one.__dict__.update(command.__dict__)
    with_one.__name__, with_one.__doc__ = command.__name__, command.__doc__
    for option in reversed(options):
        with_one = option(with_one)
    return with_one


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option `-o`."""
    choice = click.Choice(["table", "json", "yaml"])
    return click.option("-o", "--output", type=choice, default="table", show_default=True, help="How it is printed.")(
        command
    )
