"""`penstock orphans`: what belongs to nobody any more, and its removal."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import click

from penstock.api.duration import parse_duration
from penstock.cli.remote import Login, Remote, cluster_options, output_option, s3_options
from penstock.cli.report import columns, show

_LEAST = timedelta(hours=24)
_INCOMPLETE = 1


def _age(_context: click.Context, _option: click.Parameter, given: str) -> timedelta:
    try:
        age = timedelta(milliseconds=parse_duration(given))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if age < _LEAST:
        raise click.BadParameter(f"{given} is less than 24h: it can only be raised, a run may still be writing")
    return age


@click.command
@click.argument("store")
@click.argument("where", nargs=-1)
@click.option("--remove", is_flag=True, help="Say what would be removed; with --yes remove it.")
@click.option("--yes", is_flag=True, help="Really remove it.")
@click.option(
    "--minimum-age",
    default="24h",
    show_default=True,
    callback=_age,
    metavar="DURATION",
    help="What was written to less long ago stays. Not less than 24h.",
)
@cluster_options
@output_option
@s3_options
def orphans(
    *,
    store: str,
    where: tuple[str, ...],
    remove: bool,
    yes: bool,
    minimum_age: timedelta,
    output: str,
    login: Login,
    remote: Remote,
) -> None:
    """List what lies in a CheckpointStore and belongs to nobody any more.

    STORE is the name of a CheckpointStore. With WHERE, places of that list, only these are looked at. A savepoint that
    a job could be started from is removed only when it is named so.

    The exit code is 0 when all that was asked for was done, and 1 when something could not be looked at or removed.
    """
    if yes and not remove:
        raise click.UsageError("--yes belongs to --remove", click.get_current_context())
    # Imported here: see `remote`.
    from penstock.cli.removal import Asked, run  # noqa: PLC0415

    asked = Asked(store, where, remove=remove, yes=yes, minimum_age=minimum_age)
    tell = click.echo if output == "table" else _nothing
    try:
        content = asyncio.run(run(asked, login, remote, tell))
    except KeyboardInterrupt:
        if yes:
            click.echo("penstock: the same command goes on with what was begun", err=True)
        raise
    if output != "table" or not yes:
        show(content, output, _table)
    for each in content["unread"]:
        click.echo(f"penstock: not looked at: {each}", err=True)
    if content["unread"] or any(each.get("trouble") for each in content["orphans"]):
        raise click.exceptions.Exit(_INCOMPLETE)


def _nothing(_line: str) -> None:
    pass


def _table(content: dict[str, Any]) -> str:
    if not content["orphans"]:
        return f"nothing in {content['store']} belongs to nobody"
    rows = [(each["kind"], each["where"], str(each["keys"]), each["sizeText"], each["oldest"], _may(each))
            for each in content["orphans"]]  # fmt: skip
    parts = [columns([("KIND", "WHERE", "KEYS", "SIZE", "OLDEST", "REMOVABLE"), *rows])]
    if content["goes"] is not None:
        parts.append(f"would remove {content['goes']['count']}, {content['goes']['sizeText']}; with --yes it is done")
    return "\n\n".join(parts)


def _may(orphan: dict[str, Any]) -> str:
    if orphan["kept"]:
        return f"no: {orphan['kept']}"
    return "when named: a job can start from it" if orphan["restorable"] else "yes"
