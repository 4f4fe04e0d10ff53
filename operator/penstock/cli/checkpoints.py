"""`penstock checkpoint`, `list` and `describe`."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import click

from penstock.cli.jobs import wait_options
from penstock.cli.remote import output_option
from penstock.cli.report import columns, show
from penstock.cli.user import User, user_options

_COLUMNS = ("name", "job", "source", "status", "verified", "triggered", "duration", "size", "version", "description")


@click.command
@click.argument("job")
@click.option("--name", help="Name of the Checkpoint. Without it: the job's with the time.")
@click.option("--description", default="", help="What it is for.")
@click.option("--format", "form", type=click.Choice(["Canonical", "Native"]), help="Without it: the job's.")
@click.option("--pin", is_flag=True, help="Retention never takes it.")
@wait_options
@user_options
def checkpoint(
    *,
    job: str,
    name: str | None,
    description: str,
    form: str | None,
    pin: bool,
    wait: bool,
    timeout: timedelta,
    user: User,
) -> None:
    """Take a checkpoint of a StreamJob now."""
    from penstock.cli.asking_checkpoints import take  # noqa: PLC0415 - see `user`
    from penstock.cli.asking_jobs import Waiting  # noqa: PLC0415

    given: dict[str, Any] = {"description": description, "format": form, "pinned": pin}
    spec = {field: value for field, value in given.items() if value}
    click.echo(asyncio.run(take(user, job, name, spec, Waiting(wait, timeout))))


@click.command("list")
@click.argument("job", required=False)
@output_option
@user_options
def list_(*, job: str | None, output: str, user: User) -> None:
    """List the Checkpoints of a namespace, newest first.

    With JOB only those of a StreamJob, and in parentheses those of Flink's own checkpoints that have no Checkpoint.
    """
    from penstock.cli.asking_checkpoints import listed  # noqa: PLC0415 - see `user`

    show(asyncio.run(listed(user, job)), output, _table)


def _table(content: dict[str, Any]) -> str:
    if not content["checkpoints"]:
        return f"no Checkpoints in namespace {content['namespace']}"
    rows = [tuple(row[column] for column in _COLUMNS) for row in content["checkpoints"]]
    return columns([tuple(column.upper() for column in _COLUMNS), *rows])


@click.command
@click.argument("name")
@output_option
@user_options
def describe(*, name: str, output: str, user: User) -> None:
    """Say what is known of a StreamJob, or of a Checkpoint."""
    from penstock.cli.asking_checkpoints import described  # noqa: PLC0415 - see `user`

    show(asyncio.run(described(user, name)), output, _described)


def _described(content: dict[str, Any]) -> str:
    status = dict(content["status"])
    conditions = status.pop("conditions", [])
    rows = [(f"{content['kind']}:", content["name"]), ("namespace:", content["namespace"])]
    rows += [(f"{path}:", text) for path, text in _flat("", status)]
    told = [("CONDITION", "STATUS", "REASON", "MESSAGE")]
    told += [(each["type"], each["status"], each.get("reason", ""), each.get("message", "")) for each in conditions]
    return "\n\n".join(columns(part) for part in (rows, told) if len(part) > 1)


def _flat(path: str, value: object) -> list[tuple[str, str]]:
    """Every field with its path, as `kubectl get -o jsonpath` takes it."""
    if isinstance(value, dict):
        head = f"{path}." if path else ""
        return [row for key, inner in value.items() for row in _flat(f"{head}{key}", inner)]
    if isinstance(value, list):
        return [row for number, inner in enumerate(value) for row in _flat(f"{path}[{number}]", inner)]
    return [(path, "true" if value is True else "false" if value is False else str(value))]
