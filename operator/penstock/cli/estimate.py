"""`penstock estimate`: how long a start would take to catch up."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from penstock.cli.options import duration, maybe_duration, moment_or_duration
from penstock.cli.remote import output_option
from penstock.cli.report import columns, show
from penstock.cli.user import User, user_options

_LATEST = "latest"


def _since(context: click.Context, option: click.Parameter, given: str) -> str:
    return given if given == _LATEST else moment_or_duration(context, option, given)


_POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command
@click.argument("job")
@click.option(
    "--from",
    "since",
    default=_LATEST,
    show_default=True,
    callback=_since,
    metavar="TIME|DURATION|latest",
    help="Where the output is to begin: RFC 3339 with a zone, so long ago (24h), or the newest checkpoint.",
)
@click.option("--parallelism", type=click.IntRange(min=1), metavar="N", help="What if: so many subtasks.")
@click.option("--window", callback=maybe_duration, metavar="DURATION", help="What if: a look-back of this length.")
@click.option("--rate", type=click.FloatRange(min=0), metavar="R", help="What if: R records per second arrive.")
@click.option(
    "--capacity",
    type=_POSITIVE,
    metavar="R",
    help="Records per second that the job can read as it is now. Without it: as measured when it last caught up, "
    "else arrival by busy share, as Flink says.",
)
@click.option(
    "--restart",
    callback=maybe_duration,
    metavar="DURATION",
    help="How long a start takes until the first record is read. Without it: as long as the one that was "
    "measured last, else 30s.",
)
@click.option(
    "--timeout",
    default="1m",
    show_default=True,
    callback=duration,
    metavar="DURATION",
    help="How long the operator's answer is waited for.",
)
@output_option
@user_options
def estimate(*, job: str, output: str, user: User, **asked: Any) -> None:  # noqa: ANN401 - the fields of Question
    """Estimate how long a StreamJob takes until its sources' backlog is gone, and what would change that.

    restart + backlog / (capacity - arrival), of the slowest partition. Backlog and arrival (of the last 5 minutes) are
    measured at the broker by the operator, of the topics in spec.sources. Nothing is started or stopped.
    """
    from penstock.cli.asking_estimate import Question, ask  # noqa: PLC0415 - see `user`

    if asked["window"] is not None and asked["since"] == _LATEST:
        raise click.UsageError(
            "--window is about a replay: write --from with a time or a duration", click.get_current_context()
        )
    question = Question(patience=asked.pop("timeout"), **asked)
    show(asyncio.run(ask(user, job, question)), output, _table)


def _table(content: dict[str, Any]) -> str:
    from penstock.decide.estimate import words  # noqa: PLC0415 - see `user`

    slowest = content["slowest"]
    rows = [
        ("From:", f"{content['from']['time']} ({content['from']['text']})"),
        ("Catches up:", words(content["seconds"]) if content["seconds"] is None else f"in {words(content['seconds'])}"),
        ("Backlog:", f"{content['backlog']} records in {content['partitions']} partitions"),
        ("Arrival:", f"{content['rate']:.1f} records/s"),
        ("Capacity:", f"{content['capacity']:.1f} records/s ({content['capacityFrom']})"),
        ("Restart:", f"{content['restartSeconds']:.0f} s ({content['restartFrom']})"),
    ]
    if slowest is not None:
        what = ", ".join(slowest["partitions"])
        rows.append(("Slowest:", f"subtask {slowest['subtask']} with {what}: {slowest['backlog']:.0f} records"))
    rows += [
        ("Rule of thumb:", f"rate x gap / partitions = {content['recordsPerPartition']:.0f} records a partition"),
        ("Replay amount:", _replay(content)),
    ]
    if content["incomplete"]:
        rows.append(("Incomplete:", f"records of that time have been deleted: {', '.join(content['incomplete'])}"))
    told = [("WHAT IF", "CATCHES UP", "WHY")]
    told += [(_lever(each), words(each["seconds"]), each["why"]) for each in content["whatIf"]]
    return columns(rows) + "\n\n" + columns(told)


def _replay(content: dict[str, Any]) -> str:
    amount, text = f"{content['replayAmount']:.0f} records", content["replayText"]
    return f"{text} = {amount}" if content["from"]["windowSeconds"] else f"{amount}: {text}"


_UNITS = {"parallelism": "", "window": " s", "rate": " records/s"}


def _lever(moved: dict[str, Any]) -> str:
    return f"{moved['lever']} {moved['after']:g}{_UNITS[moved['lever']]}"
