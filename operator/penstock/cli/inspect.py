"""`penstock inspect`: what a checkpoint consists of."""

from __future__ import annotations

import asyncio
from functools import partial

import click

from penstock.cli import location as place
from penstock.cli.location import Location
from penstock.cli.remote import Remote, output_option, s3_options
from penstock.cli.report import report, show, table
from penstock.flink.metadata import Metadata, read


@click.command
@click.argument("location")
@output_option
@s3_options
def inspect(*, location: str, output: str, remote: Remote) -> None:
    """Show a checkpoint's operators and every file that it needs.

    LOCATION is the directory of a checkpoint or savepoint, or its _metadata file: an s3:// URI or a path on this
    machine. Only the _metadata file is read; `verify` looks whether the other files are there.
    """
    try:
        found = place.parse(location)
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error
    metadata = _local(found) if found.bucket is None else _remote(found, found.bucket, remote)
    show(report(metadata, found.uri), output, table)


def _local(found: Location) -> Metadata:
    with open(found.path, "rb") as stream:  # noqa: PTH123 - the path is text already
        return read(stream, found.directory)


def _remote(found: Location, bucket: str, remote: Remote) -> Metadata:
    metadata = asyncio.run(remote.store(bucket).consume(found.path, partial(read, directory=found.directory)))
    if metadata is None:
        raise click.ClickException(f"{found.uri}: there is no such object")
    return metadata
