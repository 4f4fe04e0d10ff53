"""The options that say how S3 is reached, and the store that they lead to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from penstock.store.client import ObjectStore

_OPTIONS = (
    click.option("--endpoint", metavar="URL", help="The S3 server. Without it: as the AWS configuration says."),
    click.option(
        "--region", help="The region that requests are signed for. Without it: as the AWS configuration says."
    ),
    click.option("--profile", help="The profile of the AWS configuration to take credentials from."),
    click.option(
        "--path-style/--host-style",
        default=None,
        help="Whether the bucket is in the path or in the host name of the URL. Without it: path with --endpoint.",
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


def s3_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options; it gets them as one argument `remote`."""

    def with_remote(**given: Any) -> Any:  # noqa: ANN401 - click's own signature
        names = ("endpoint", "region", "profile", "path_style")
        return command(remote=Remote(**{name: given.pop(name) for name in names}), **given)

    with_remote.__name__, with_remote.__doc__ = command.__name__, command.__doc__
    for option in reversed(_OPTIONS):
        with_remote = option(with_remote)
    return with_remote


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option `-o`."""
    choice = click.Choice(["table", "json", "yaml"])
    return click.option("-o", "--output", type=choice, default="table", show_default=True, help="How it is printed.")(
        command
    )
