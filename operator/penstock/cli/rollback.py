"""`penstock rollback`: back to an earlier job version, from what that version has left."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import click

from penstock.cli.jobs import wait_options
from penstock.cli.user import User, user_options


@click.command
@click.argument("job")
@click.option(
    "--to-version",
    "version",
    required=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="A version of `penstock history`.",
)
@click.option(
    "--from",
    "checkpoint",
    metavar="CHECKPOINT",
    help="What to start from. Without it: the newest Present Checkpoint that version N wrote.",
)
@click.option("--print", "printed", is_flag=True, help="Print the StreamJob for Git, and change nothing.")
@wait_options
@user_options
def rollback(
    *, job: str, version: int, checkpoint: str | None, printed: bool, wait: bool, timeout: timedelta, user: User
) -> None:
    """Run an earlier version of a StreamJob again, from a checkpoint that it wrote.

    What makes a version (the program, Flink, sizes) is written into the spec as version N had it, and spec.startFrom
    names the checkpoint; all else in the spec stays. It becomes a new version. A running job is stopped for it with a
    savepoint, but only when what is to be started from was found whole. What was read since that checkpoint is read
    again. A job that comes from Git is changed there: --print.
    """
    if printed and wait:
        raise click.UsageError("--print changes nothing: leave --wait out", click.get_current_context())
    from penstock.cli.asking_jobs import Waiting  # noqa: PLC0415 - see `user`
    from penstock.cli.asking_rollback import Target  # noqa: PLC0415
    from penstock.cli.asking_rollback import manifest as show  # noqa: PLC0415
    from penstock.cli.asking_rollback import rollback as ask  # noqa: PLC0415

    target = Target(version, checkpoint)
    if printed:
        click.echo(asyncio.run(show(user, job, target)), nl=False)
    else:
        click.echo(asyncio.run(ask(user, job, target, Waiting(wait, timeout))))
