"""The job of `test_recovery`, and what is looked at beside the operator: what Flink and the broker say themselves."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from test_replay import SQL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

NAME = "returner"
SOURCE, SINK = "returner-in", "returner-out"
PARTITIONS = 4
CONNECTION = "penstock-e2e-recovery"
YEAR = "2013-01-01T11:00:00Z"
"""A replay from here with its look-back of an hour reads every flight."""
COST = "CHAR_LENGTH(SHA512(REPEAT(origin, {length}))) > 0"
_SCRIPT = Path(__file__).with_name("flights_in_pod.py").read_text()


def script(lab: Lab, length: int = 900) -> str:
    sql = SQL.replace("@SOURCE", SOURCE).replace("@SINK", SINK).replace("@SPACE", lab.namespace)
    sql = sql.replace("'replayer'", f"'{NAME}'")
    return sql.replace("WHERE origin <> 'END'", f"WHERE origin <> 'END' AND {COST.format(length=length)}")


def sources(connection: str = CONNECTION, topic: str = SOURCE) -> list[dict[str, Any]]:
    return [{"name": "flights", "kafka": {"connection": connection, "topics": [topic]}}]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@dataclass
class Seen:
    """What a user who looks at the job all the time has seen, and when."""

    told: list[dict[str, Any]] = field(default_factory=list)
    """Each new status.recovery."""
    caught_up_at: float = 0.0
    gone_at: float = 0.0
    """When Flink and the broker agreed that nothing waits any more."""

    @property
    def last(self) -> dict[str, Any]:
        return self.told[-1]

    def percents(self) -> list[int]:
        return [each["percent"] for each in self.told if "percent" in each]

    def pauses(self) -> list[float]:
        """Seconds between two writes."""
        times = [moment(each["updatedAt"]) for each in self.told]
        return [(later - earlier).total_seconds() for earlier, later in pairwise(times)]

    def phases(self) -> list[str]:
        found: list[str] = []
        for each in self.told:
            if not found or found[-1] != each["phase"]:
                found.append(each["phase"])
        return found


@dataclass
class Returner:
    """The job, and what is looked at beside the operator."""

    lab: Lab
    fed: int = 0

    def in_pod(self, *arguments: object, seconds: float = 120) -> str:
        bootstrap = f"kafka.{self.lab.namespace}.svc:9092"
        command = ("exec", "-i", "deploy/tools", "--", "python3", "-", bootstrap, *map(str, arguments))
        return self.lab.kubectl(*command, given=_SCRIPT, seconds=seconds).strip()

    def committed(self) -> int:
        """How many records the broker was told to be read and saved."""
        return int(self.in_pod("committed", SOURCE, PARTITIONS, NAME))

    def recovery(self, name: str = NAME) -> dict[str, Any]:
        return dict(self.lab.job(name).get("recovery") or {})

    # ------------------------------------------------------------ what is true, without asking the operator

    def _flink(self, path: str, name: str = NAME) -> Any:
        [pod] = self.lab.pods("jobmanager", name)
        with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8081{path}", timeout=4) as answer:
            return json.load(answer)

    def waiting(self, end: int | None) -> int | None:
        """Records that the sources have not read yet, by Flink's own figures and the broker's; None: nobody knows.

        `end`: the end offsets, their sum, where they stay what they are. To ask the broker takes half a second of CPU.
        """
        try:
            run = self.lab.job(NAME)["run"]["id"]
            vertices = [each["id"] for each in self._flink(f"/jobs/{run}")["vertices"]]
            read = 0
            for vertex in vertices:
                path = f"/jobs/{run}/vertices/{vertex}/metrics"
                wanted = [each["id"] for each in self._flink(path) if each["id"].endswith(".currentOffset")]
                values = self._flink(f"{path}?get={','.join(wanted)}") if wanted else []
                read += sum(int(each["value"]) + 1 for each in values)
        except (OSError, KeyError, ValueError):
            return None
        return (sum(self.lab.ends(SOURCE)) if end is None else end) - read

    # ------------------------------------------------------------ looking on

    @contextmanager
    def rate(self, each_second: int) -> Iterator[None]:
        """Have records arrive at a rate meanwhile."""
        if not each_second:
            yield
            return
        command = ["kubectl", "--kubeconfig", self.lab.kubeconfig, "-n", self.lab.namespace, "exec", "-i"]
        bootstrap = f"kafka.{self.lab.namespace}.svc:9092"
        command += ["deploy/tools", "--", "python3", "-", bootstrap, "rate", SOURCE]
        command += map(str, (PARTITIONS, each_second))
        with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as feeder:
            assert feeder.stdin is not None
            feeder.stdin.write(_SCRIPT)
            feeder.stdin.close()
            try:
                yield
            finally:
                self.in_pod("halt", SOURCE)
                feeder.wait(60)

    def look_on(self, begun: str, seconds: float = 240, *, rate: int = 0) -> Seen:
        """Look at the job until it has caught up; `begun` is when the recovery before it began, which is not meant.

        Where records arrive all the time, what comes in two seconds always waits.
        """
        seen, done = Seen(), threading.Event()
        truth = threading.Thread(target=self._watch_backlog, args=(seen, done, rate))
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                status = self.lab.job(NAME)
                told = status.get("recovery") or {}
                conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}
                if told and told["startedAt"] != begun:
                    if not truth.is_alive() and not seen.told:
                        truth.start()
                    if not seen.told or told != seen.last:
                        seen.told.append(told)
                        self.lab.say(f"{told['cause']}: {told['text']}")
                    if conditions["CaughtUp"] == "True":
                        seen.caught_up_at = time.monotonic()
                        return seen
                time.sleep(0.7)
        finally:
            done.set()
            if truth.is_alive():
                truth.join()
        raise AssertionError(f"not caught up within {seconds} s: {json.dumps(self.lab.job(NAME), indent=1)}")

    def _watch_backlog(self, seen: Seen, done: threading.Event, rate: int) -> None:
        """When no more waits than comes in two seconds; looked at once more when the operator has said so before."""
        end = None if rate else sum(self.lab.ends(SOURCE))
        while not seen.gone_at:
            last = done.is_set()
            reads = bool(seen.told) and seen.last["phase"] in ("CatchingUp", "CaughtUp")
            waiting = self.waiting(end) if reads else None
            if waiting is not None and waiting <= 2 * rate:
                seen.gone_at = time.monotonic()
            if last:
                return
            time.sleep(0.5)
