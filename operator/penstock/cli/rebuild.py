"""`penstock adopt` and `penstock rebuild`: a store and its savepoints, after the cluster that they were of was lost."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from penstock.cli.remote import Login, Remote, cluster_options, output_option, s3_options
from penstock.cli.report import columns, show

_INCOMPLETE = 1


@click.command
@click.argument("store")
@click.option("--from", "owner", metavar="UID", help="The cluster that is lost, as the store's mark names it.")
@click.option("--yes", is_flag=True, help="Really write the mark.")
@cluster_options
@s3_options
def adopt(*, store: str, owner: str | None, yes: bool, login: Login, remote: Remote) -> None:
    """Make a CheckpointStore that of this cluster, when the cluster that it was of is lost for good.

    STORE is the name of a CheckpointStore. Two clusters that both work on a store would delete each other's data: make
    sure that the other one is gone.
    """
    if yes and owner is None:
        raise click.UsageError("--yes needs --from UID, the cluster that is lost", click.get_current_context())
    # Imported here: see `remote`.
    from penstock.cli.lost import take_over  # noqa: PLC0415

    click.echo(asyncio.run(take_over(store, owner, login, remote, yes=yes)))


@click.command
@click.argument("namespace")
@click.option("--job", metavar="NAME", help="Only the savepoints of this StreamJob.")
@click.option("--store", metavar="NAME", help="The CheckpointStore. Without it: the only one that there is.")
@click.option("--yes", is_flag=True, help="Really make them.")
@click.option(
    "--pin/--no-pin",
    default=True,
    show_default=True,
    help="Pin them, so that retention takes none before somebody has looked at them.",
)
@cluster_options
@output_option
@s3_options
def rebuild(
    *,
    namespace: str,
    job: str | None,
    store: str | None,
    yes: bool,
    pin: bool,
    output: str,
    login: Login,
    remote: Remote,
) -> None:
    """Make the Checkpoints of a namespace anew for the savepoints in the store, after a cluster was lost.

    Name, description and source are those of the note beside each savepoint. The operator finds the savepoint again as
    soon as its StreamJob is there; a Checkpoint that is made so is never taken anew. Those that exist stay as they are.

    The exit code is 1 when one could not be made.
    """
    # Imported here: see `remote`.
    from penstock.cli.lost import Wanted, make_anew  # noqa: PLC0415

    content = asyncio.run(make_anew(Wanted(namespace, job, store, yes=yes, pin=pin), login, remote))
    show(content, output, _table)
    if any(each.get("trouble") for each in content["checkpoints"]):
        raise click.exceptions.Exit(_INCOMPLETE)


_HEAD = ("NAME", "JOB", "SOURCE", "WRITTEN", "DESCRIPTION", "LOCATION", "RESULT")


def _table(content: dict[str, Any]) -> str:
    if not content["checkpoints"]:
        return f"there is no savepoint of {content['jobs']} in {content['location']}"
    rows = [
        (each["name"] or "-", each["job"], each["source"] or "-", each["written"], each["description"] or "-",
         each["location"], each["outcome"])
        for each in content["checkpoints"]
    ]  # fmt: skip
    parts = [columns([_HEAD, *rows])]
    if content["missingJobs"]:
        names = ", ".join(content["missingJobs"])
        parts.append(f"There is no StreamJob {names}: until it is made their Checkpoints wait (JobNotFound).")
    if not content["done"]:
        parts.append("Nothing was made; with --yes it is done.")
    return "\n\n".join(parts)
