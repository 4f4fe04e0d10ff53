"""`penstock verify`: is every file there that a checkpoint needs?"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from penstock.cli import location as place
from penstock.cli.options import duration
from penstock.cli.remote import Remote, output_option, s3_options
from penstock.cli.report import columns, show
from penstock.cli.user import User, user_options

if TYPE_CHECKING:
    from penstock.verdict import Verification

_NOT_WHOLE = 1


@click.command
@click.argument("target")
@click.option(
    "--timeout",
    default="2m",
    show_default=True,
    callback=duration,
    metavar="DURATION",
    help="How long the operator's answer about a Checkpoint is waited for.",
)
@user_options
@output_option
@s3_options
def verify(*, target: str, timeout: timedelta, output: str, user: User, remote: Remote) -> None:
    """Look whether every file that a checkpoint needs is there with its size.

    TARGET is the name of a Checkpoint: then the operator looks, by the annotation penstock.dev/verify, and the answer
    is in its condition Verified, too. Or it is the s3:// URI of the directory of a checkpoint or savepoint: then this
    command looks, with your own credentials for S3, and nothing is written.

    The exit code is 0 when it is whole, and 1 when it is not or when nobody can say.
    """
    if "/" not in target:
        # Imported here: see `user`.
        from penstock.cli.asking import ask  # noqa: PLC0415

        content = asyncio.run(ask(user, target, timeout))
        show(content, output, _table)
        whole = content["whole"]
    else:
        seen, directory = _look(target, remote)
        show(_content(seen, directory), output, _table)
        whole = seen.whole
    if not whole:
        raise click.exceptions.Exit(_NOT_WHOLE)


def _look(target: str, remote: Remote) -> tuple[Verification, str]:
    try:
        found = place.parse(target)
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error
    if found.bucket is None:
        raise click.UsageError(
            f"{target} is neither the name of a Checkpoint nor an s3:// URI", click.get_current_context()
        )
    # Imported here: see `remote`.
    from penstock.inventory.verification import verify as look  # noqa: PLC0415

    directory = f"s3://{found.bucket}/{found.path.rpartition('/')[0]}"
    return asyncio.run(look(remote.store(found.bucket), directory)), found.directory


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
    named = [("Checkpoint:", content["checkpoint"])] if "checkpoint" in content else []
    rows = [*named, ("Location:", content["location"]), ("Whole:", "yes" if content["whole"] else "no")]
    return columns([*rows, ("Found:", content["message"])])
