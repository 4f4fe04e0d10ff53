"""`penstock inspect`: what a checkpoint consists of."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import click
import yaml

from penstock.cli import location as place
from penstock.cli.location import Location
from penstock.cli.report import report, table
from penstock.flink.metadata import Metadata, read


@click.command
@click.argument("location")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="How it is printed.",
)
@click.option("--endpoint", metavar="URL", help="The S3 server. Without it: as the AWS configuration says.")
@click.option("--region", help="The region that requests are signed for. Without it: as the AWS configuration says.")
@click.option("--profile", help="The profile of the AWS configuration to take credentials from.")
@click.option(
    "--path-style/--host-style",
    default=None,
    help="Whether the bucket is in the path or in the host name of the URL. Without it: path with --endpoint.",
)
def inspect(
    *,
    location: str,
    output: str,
    endpoint: str | None,
    region: str | None,
    profile: str | None,
    path_style: bool | None,
) -> None:
    """Show a checkpoint's operators and every file that it needs.

    LOCATION is the directory of a checkpoint or savepoint, or its _metadata file: an s3:// URI or a path on this
    machine. Only the _metadata file is read; whether the other files are there is not looked at.
    """
    try:
        found = place.parse(location)
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error
    metadata = (
        _local(found)
        if found.bucket is None
        else _remote(
            found, endpoint, region, profile, by_path=endpoint is not None if path_style is None else path_style
        )
    )
    content = report(metadata, found.uri)
    if output == "json":
        click.echo(json.dumps(content, indent=2))
    elif output == "yaml":
        click.echo(yaml.safe_dump(content, sort_keys=False, width=120), nl=False)
    else:
        click.echo(table(content))


def _local(found: Location) -> Metadata:
    with open(found.path, "rb") as stream:  # noqa: PTH123 - the path is text already
        return read(stream, found.directory)


def _remote(
    found: Location, endpoint: str | None, region: str | None, profile: str | None, *, by_path: bool
) -> Metadata:
    # Imported here: boto3 takes most of a second, which a local path need not wait for.
    from penstock.store.client import Access, ObjectStore  # noqa: PLC0415
    from penstock.store.layout import Place  # noqa: PLC0415

    store = ObjectStore(
        Access(Place(found.bucket or ""), endpoint, region, by_path, access_key=None, secret_key=None, profile=profile)
    )
    metadata = asyncio.run(store.consume(found.path, partial(read, directory=found.directory)))
    if metadata is None:
        raise click.ClickException(f"{found.uri}: there is no such object")
    return metadata
