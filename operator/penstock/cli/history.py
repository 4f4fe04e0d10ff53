"""`penstock history` and `diff`: what a StreamJob was, and what it came from."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from penstock.cli.remote import output_option
from penstock.cli.report import columns, show
from penstock.cli.user import User, user_options
from penstock.names import short

_VERSIONS = ("VERSION", "CREATED", "SAME AS", "RUNS")
_TREE = ("RUN OR CHECKPOINT", "VERSION", "STATUS", "TIME", "WHAT")


@click.command
@click.argument("job")
@output_option
@user_options
def history(*, job: str, output: str, user: User) -> None:
    """Draw what a StreamJob has run, and which run came from which checkpoint.

    A checkpoint stands below the run that wrote it, a run below the checkpoint that it was started from. Unknown is
    what no object says (any more).
    """
    from penstock.cli.asking_history import history as ask  # noqa: PLC0415 - see `user`

    show(asyncio.run(ask(user, job)), output, _drawn)


def _drawn(content: dict[str, Any]) -> str:
    from penstock.cli.lineage import tree  # noqa: PLC0415 - see `user`

    present = f"version {content['version']}, run {short(content['run'])}" if content["run"] else "no run yet"
    parts = [f"StreamJob {content['job']}, {content['state'] or 'Pending'}: {present}"]
    if content["versions"]:
        parts.append(columns([_VERSIONS, *map(_version, content["versions"])]))
    lines = tree(content)
    if lines:
        parts.append(columns([_TREE, *(_line(name, node) for name, node in lines)]))
    return "\n\n".join(parts)


def _version(version: dict[str, Any]) -> tuple[str, ...]:
    same = str(version["sameAs"] or "")
    return (str(version["version"]), version["created"], same, " ".join(map(short, version["runs"])))


def _line(name: str, node: dict[str, Any]) -> tuple[str, ...]:
    is_run = "from" in node
    version = f"{node['version'] or '?'}{' of ' if node['of'] else ''}{node['of']}" if is_run else ""
    status = _state_of(node) if is_run else node["status"]
    return (name, version, status, node["startedAt" if is_run else "completed"], _about(node))


def _state_of(run: dict[str, Any]) -> str:
    return "lives" if run["live"] else run["end"] or "Unknown"


def _about(node: dict[str, Any]) -> str:
    if "from" not in node:
        words = (node["source"], node["size"], "pinned" if node["pinned"] else "", node["description"])
        foreign = (f"of StreamJob {node['job']}",) if node["job"] else ()
        return ", ".join(filter(None, (*foreign, *words)))
    came_from = node["from"]
    if came_from["kind"] == "Unknown":
        began = "nobody has recorded what it started from"
    else:
        began = "" if came_from["location"] else f"started from {came_from['text'] or came_from['kind']}"
        began = began.replace("started from Empty", "started empty")
    stopped = f"ended {node['endedAt']}" if node["endedAt"] else ""
    return ", ".join(filter(None, (began, stopped, node["stopReason"])))


@click.command
@click.argument("job")
@click.argument("v1", type=click.IntRange(min=1))
@click.argument("v2", type=click.IntRange(min=1))
@output_option
@user_options
def diff(*, job: str, v1: int, v2: int, output: str, user: User) -> None:
    """Compare two versions of a StreamJob, and say what going from V1 to V2 needs.

    Versions are those of `penstock history`. What makes no version (how checkpoints are kept, for example) is not
    compared. The exit code is 0 whether they differ or not.
    """
    from penstock.cli.asking_history import compared as ask  # noqa: PLC0415 - see `user`

    show(asyncio.run(ask(user, job, v1, v2)), output, _compared)


_NEEDS = {
    "": "nothing: they are the same",
    "NewPods": "new pods: the run is cancelled and goes on from its newest checkpoint",
    "Version": "a restart as spec.checkpoints.onUpgrade says",
}


def _compared(content: dict[str, Any]) -> str:
    parts = [content["diff"].rstrip("\n")] if content["diff"] else []
    if content["fields"]:
        rows = [(each["field"], _NEEDS[each["change"]]) for each in content["fields"]]
        parts.append(columns([("FIELD", "NEEDS"), *rows]))
    return "\n\n".join(
        [*parts, f"From version {content['from']} to {content['to']} needs {_NEEDS[content['restart']]}"]
    )
