"""`penstock stop`, `start`, `restore` and `replay`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import click

from penstock.cli.options import duration, duration_text, moment, moment_or_duration
from penstock.cli.user import User, user_options

OVERRIDES = (
    "NotWhole",
    "VersionNotReadable",
    "ParallelismTooHigh",
    "SourceOffsetsExpired",
    "StateWouldBeDropped",
    "ProgramFails",
    "ReplayIgnored",
)
"""As `penstock.api.streamjob.Override` has them, which --help need not wait for."""


_REFUSED = 1


def wait_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--wait` and `--timeout`."""
    command = click.option(
        "--timeout",
        default="10m",
        show_default=True,
        callback=duration,
        metavar="DURATION",
        help="How long --wait waits; then the exit code is 3, and the operator goes on.",
    )(command)
    return click.option("--wait/--no-wait", default=False, help="Wait for the end, and say what happens meanwhile.")(
        command
    )


@click.command
@click.argument("job")
@wait_options
@user_options
def stop(*, job: str, wait: bool, timeout: timedelta, user: User) -> None:
    """Stop a StreamJob with a checkpoint, as its spec.checkpoints.onStop says."""
    from penstock.cli.asking_jobs import Waiting  # noqa: PLC0415 - see `user`
    from penstock.cli.asking_jobs import stop as ask  # noqa: PLC0415

    click.echo(asyncio.run(ask(user, job, Waiting(wait, timeout))))


@click.command
@click.argument("job")
@wait_options
@user_options
def start(*, job: str, wait: bool, timeout: timedelta, user: User) -> None:
    """Have a stopped StreamJob run again, from its newest checkpoint."""
    from penstock.cli.asking_jobs import Waiting  # noqa: PLC0415 - see `user`
    from penstock.cli.asking_jobs import start as ask  # noqa: PLC0415

    click.echo(asyncio.run(ask(user, job, Waiting(wait, timeout))))


@click.command
@click.argument("job")
@click.option("--from", "checkpoint", metavar="CHECKPOINT", help="A Checkpoint of this job, or of another one.")
@click.option(
    "--as-of",
    "time",
    callback=moment,
    metavar="TIME",
    help="The newest Checkpoint that was complete by then: RFC 3339 with a zone (2026-01-31T12:00:00+01:00).",
)
@click.option(
    "--override", multiple=True, metavar="REASON", help=f"Start in spite of this refusal: {', '.join(OVERRIDES)}."
)
@click.option("--dry-run", is_flag=True, help="Only say what would come of it: nothing is changed, the job goes on.")
@wait_options
@user_options
def restore(
    *,
    job: str,
    checkpoint: str | None,
    time: datetime | None,
    override: tuple[str, ...],
    dry_run: bool,
    wait: bool,
    timeout: timedelta,
    user: User,
) -> None:
    """Start a StreamJob from one of its checkpoints, be it running or stopped.

    A running one is stopped for it with a savepoint, but only when what is to be started from was found whole. What you
    ask for is written into spec.startFrom: a job that comes from Git is changed there.

    With --dry-run the operator makes the checks that come before the stop, for the spec as it is, and they are printed.
    The exit code is 0 when all have passed, and 1 when one has failed or nobody can say.
    """
    if dry_run:
        _dry_run(user, job, checkpoint, timeout, more=bool(time or override))
        return
    if (checkpoint is None) == (time is None):
        raise click.UsageError("one of --from and --as-of is needed", click.get_current_context())
    from penstock.cli.asking_jobs import Origin, Waiting  # noqa: PLC0415 - see `user`
    from penstock.cli.asking_jobs import restore as ask  # noqa: PLC0415

    click.echo(asyncio.run(ask(user, job, Origin(checkpoint, time, override), Waiting(wait, timeout))))


def _dry_run(user: User, job: str, checkpoint: str | None, patience: timedelta, *, more: bool) -> None:
    if checkpoint is None or more:
        raise click.UsageError(
            "--dry-run takes --from, and neither --as-of nor --override", click.get_current_context()
        )
    from penstock.cli.asking_preflight import dry_run as ask  # noqa: PLC0415 - see `user`
    from penstock.cli.asking_preflight import passed, table  # noqa: PLC0415

    told = asyncio.run(ask(user, job, checkpoint, patience))
    click.echo(table(told))
    if not passed(told):
        raise click.exceptions.Exit(_REFUSED)


@click.command
@click.argument("job")
@click.option(
    "--from",
    "since",
    required=True,
    callback=moment_or_duration,
    metavar="TIME|DURATION",
    help="From when on the output is wanted: RFC 3339 with a zone, or so long ago (24h).",
)
@click.option(
    "--to", callback=moment, metavar="TIME", help="Until when; the job then finishes, and --wait waits for that."
)
@click.option(
    "--lookback",
    callback=duration_text,
    metavar="DURATION",
    help="How long before that the sources begin; without it spec.window says.",
)
@click.option("--on-gap", type=click.Choice(["Refuse", "Warn"]), help="What to do when a source does not reach so far.")
@wait_options
@user_options
def replay(
    *,
    job: str,
    since: str,
    to: datetime | None,
    lookback: str | None,
    on_gap: str | None,
    wait: bool,
    timeout: timedelta,
    user: User,
) -> None:
    """Start a StreamJob without state, and have it read its sources again from a time on.

    A running one is stopped for it with a savepoint, but only when the sources are not known to lack what is to be
    read. What you ask for is written into spec.startFrom: a job that comes from Git is changed there.
    """
    from penstock.cli.asking_jobs import Span, Waiting  # noqa: PLC0415 - see `user`
    from penstock.cli.asking_jobs import replay as ask  # noqa: PLC0415

    click.echo(asyncio.run(ask(user, job, Span(since, to, lookback, on_gap), Waiting(wait, timeout))))
