"""`penstock status`: where a StreamJob stands, and how far its recovery has come."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from penstock.cli.options import maybe_duration
from penstock.cli.remote import output_option
from penstock.cli.report import printable, show
from penstock.cli.user import User, user_options

if TYPE_CHECKING:
    from penstock.api.streamjob import StreamJob

Size = tuple[int, int]
"""Columns and lines of a terminal."""


@click.command
@click.argument("job")
@click.option("--watch", is_flag=True, help="Go on until it has caught up; interrupting it changes nothing.")
@click.option(
    "--timeout",
    callback=maybe_duration,
    metavar="DURATION",
    help="How long --watch goes on; then the exit code is 3. Without it: as long as it takes.",
)
@output_option
@user_options
def status(*, job: str, watch: bool, timeout: timedelta | None, output: str, user: User) -> None:
    """Say where a StreamJob stands, and how far it has come back after a start or a failure.

    With --watch it is drawn anew until the condition CaughtUp is True, or it is clear that there is nothing to wait
    for; where the output is no terminal, it is a line whenever the words change. Nothing is changed.
    """
    if watch and output != "table":
        raise click.UsageError("--watch is for people: leave -o out", click.get_current_context())
    from penstock import clock  # noqa: PLC0415 - see `user`
    from penstock.cli import asking_status as ask  # noqa: PLC0415
    from penstock.cli.progress import screen  # noqa: PLC0415

    if watch:
        shown = Screen() if _terminal() is not None else Lines()
        click.echo(asyncio.run(ask.watch(user, job, timeout, shown)))
        return
    found, now = asyncio.run(ask.look(user, job)), clock.now()
    show(ask.content(found, now), output, lambda _: screen(found, now))


class Lines:
    """A new line whenever the words change."""

    def __init__(self) -> None:
        self._told = ""

    def __call__(self, job: StreamJob, _now: datetime) -> None:
        """Print it if it is a new one."""
        from penstock.cli.progress import line  # noqa: PLC0415 - see `user`

        told = printable(line(job))
        if told != self._told:
            click.echo(told)
        self._told = told


class Screen:
    """Drawn in its own place on a terminal. The cursor stands below it meanwhile, so it can be left at any time."""

    def __init__(self) -> None:
        self._drawn = 0

    def __call__(self, job: StreamJob, now: datetime) -> None:
        """Draw it over the one before."""
        from penstock.cli.progress import screen  # noqa: PLC0415 - see `user`

        width, height = _terminal() or (80, 24)
        # A line that wraps, or one that scrolls away, could not be drawn over.
        lines = [each[: width - 1] for each in screen(job, now).splitlines()][: height - 1]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        # In one piece, and nothing is cleared before it is drawn over: it does not flicker.
        click.echo(up + "".join(f"{each}\x1b[K\n" for each in lines) + "\x1b[J", nl=False, color=True)
        self._drawn = len(lines)


def _terminal() -> Size | None:
    """Its size; None where the output is none, or one that cannot draw over what was drawn."""
    if not sys.stdout.isatty() or os.environ.get("TERM", "") in ("", "dumb"):
        return None
    size = shutil.get_terminal_size()
    return size.columns, size.lines
