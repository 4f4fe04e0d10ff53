"""`penstock verify`: is every file there that a checkpoint needs?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from penstock.cli import location as place
from penstock.cli.remote import Remote, output_option, s3_options
from penstock.cli.report import columns, show

if TYPE_CHECKING:
    from penstock.verdict import Verification

_NOT_WHOLE = 1


@click.command
@click.argument("location")
@output_option
@s3_options
def verify(*, location: str, output: str, remote: Remote) -> None:
    """Look whether every file that a checkpoint needs is there with its size.

    LOCATION is the directory of a checkpoint or savepoint, or its _metadata file: an s3:// URI. Nothing is written.
    The exit code is 0 when it is whole, and 1 when it is not or when nobody can say.
    """
    try:
        found = place.parse(location)
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error
    if found.bucket is None:
        raise click.UsageError(f"{location} is not an s3:// URI", click.get_current_context())
    # Imported here: see `remote`.
    from penstock.inventory.verification import verify as look  # noqa: PLC0415

    directory = f"s3://{found.bucket}/{found.path.rpartition('/')[0]}"
    seen = asyncio.run(look(remote.store(found.bucket), directory))
    show(_content(seen, found.directory), output, _table)
    if not seen.whole:
        raise click.exceptions.Exit(_NOT_WHOLE)


def _content(seen: Verification, directory: str) -> dict[str, Any]:
    return {
        "location": directory,
        "whole": seen.whole,
        "files": seen.files,
        "bytes": seen.size,
        "missing": seen.missing,
        "firstMissing": list(seen.names),
        "outside": seen.outside,
        "unreadable": seen.unreadable,
        "message": str(seen),
    }


def _table(content: dict[str, Any]) -> str:
    rows = [("Location:", content["location"]), ("Whole:", "yes" if content["whole"] else "no")]
    return columns([*rows, ("Found:", content["message"])])
