"""`python3 -m demo`: fetch, feed, check, progress."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException

from demo import check, data, feeder, oracle, topic
from demo.plan import ForeignRecordsError, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_POLL_SECONDS: Final = 1.0
_FAILED: Final = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and answers the exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except (FileNotFoundError, ForeignRecordsError, KafkaException) as error:
        print(error, file=sys.stderr)
        return _FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m demo", description=__doc__)
    commands = parser.add_subparsers(required=True)

    fetch = commands.add_parser("fetch", help="download the data into the cache")
    fetch.set_defaults(command=_fetch)

    feed = commands.add_parser("feed", help="write the flights into a topic, going on where it ends")
    feed.set_defaults(command=_feed)
    feed.add_argument("--rate", type=float, default=0, help="records a second; 0 (the default) as fast as possible")
    feed.add_argument("--partitions", type=int, default=4)
    feed.add_argument("--count", type=int, help="only the first so many flights, those of earlier calls included")
    feed.add_argument("--end-marker", action="store_true", help="at the end, close the last windows")
    feed.add_argument("--output-topic", help="also create this topic, with one partition, for the job to write to")

    compare = commands.add_parser("check", help="compare the job's answers with those of plain Python")
    compare.set_defaults(command=_check)
    compare.add_argument("--repeats", action="store_true", help="accept windows written again with equal values")

    progress = commands.add_parser("progress", help="how far the job is")
    progress.set_defaults(command=_progress)
    progress.add_argument("--wait", type=float, default=0, metavar="SECONDS", help="wait until all is committed")
    progress.add_argument("--output-topic", default="flights-hourly")

    for command, name in ((feed, "flights"), (compare, "flights-hourly"), (progress, "flights")):
        command.add_argument("--bootstrap", default="kafka.penstock-demo.svc:9092")
        command.add_argument("--topic", default=name)
    return parser


def _fetch(_options: argparse.Namespace) -> int:
    print(data.fetch())
    return 0


def _feed(options: argparse.Namespace) -> int:
    if options.output_topic:
        topic.create(options.bootstrap, options.output_topic, 1)
    wanted = feeder.Feed(
        bootstrap=options.bootstrap,
        topic=options.topic,
        partitions=options.partitions,
        rate=options.rate,
        count=options.count,
        end_marker=options.end_marker,
    )
    feeder.run(wanted, data.load())
    return 0


def _check(options: argparse.Namespace) -> int:
    report = check.compare(oracle.windows(data.load()), topic.read_committed(options.bootstrap, options.topic))
    print(report.describe())
    return 0 if report.exactly_once or (options.repeats and report.complete) else _FAILED


def _progress(options: argparse.Namespace) -> int:
    flights = data.load()
    deadline = time.monotonic() + options.wait
    while True:
        ends = topic.end_offsets(options.bootstrap, options.topic)
        due = oracle.closed(flights, ends)
        report = check.compare(due, topic.read_committed(options.bootstrap, options.output_topic))
        held = sum(topic.end_offsets(options.bootstrap, options.output_topic)) - sum(
            topic.end_offsets(options.bootstrap, options.output_topic, committed=True),
        )
        print(
            f"{Plan(len(flights), len(ends)).count(ends):,} of {len(flights):,} flights fed;"
            f" {len(due) - len(report.missing):,} of {len(due):,} closed windows committed;"
            f" {held:,} offsets behind open transactions",
            flush=True,
        )
        if not report.missing:
            return 0
        if time.monotonic() >= deadline:
            return _FAILED
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
