"""`python3 -m tests.classes`: which classes Flink's processes in the test cluster have loaded, for the image's archive.

Beside tests that run with PENSTOCK_RECORD_CLASSES=1, of all kinds of jobs (Kafka, RocksDB, both formats of savepoints):

    PENSTOCK_RECORD_CLASSES=1 .venv/bin/pytest tests/e2e/test_states.py tests/e2e/test_replay.py

It looks at every pod each few seconds until it is interrupted, and then writes
`cluster/images/classes/<version>.txt.xz`.

Java's own list has no classes of Flink's planner and plugins, which have loaders of their own. Those are taken from its
log: of each the jar, and what it inherits from, by number.
"""

from __future__ import annotations

import lzma
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cluster.images.sharing import CLASSES, PLANNER
from cluster.settings import FLINK_VERSION
from demo.host import Kubectl
from tests.quick import CLASS_LIST, CLASS_LOG

_SECONDS = 3
_WHERE = ("-A", "-l", "penstock.dev/component in (jobmanager,taskmanager)", "--field-selector=status.phase=Running")
# As a JVM writes it: a line with the name and the source, then one with addresses, its own and those it inherits from.
_LOADED = re.compile(
    r"^(?P<name>[\w.$]+) source: (?P<source>.+)\n"
    r" klass: (?P<address>\w+) super: (?P<parent>\w+)(?: interfaces:(?P<interfaces>(?: \w+)+))? ",
    re.MULTILINE,
)
# The planner is unpacked to a file with a name of its own for each process.
_UNPACKED = re.compile(r"file:/tmp/flink-table-planner_[\w-]+\.jar")
_PLUGIN = "file:/opt/flink/plugins/"


@dataclass(frozen=True)
class Class:
    """One that a process has loaded, with what it inherits from."""

    name: str
    jar: str
    """Where a loader other than Java's own found it; empty: Java's own."""
    inherits: tuple[Class, ...] = ()
    """The superclass, if any, then the interfaces."""


def look(kubectl: Kubectl, lists: dict[str, set[str]], logs: dict[str, str]) -> None:
    """Read the list and the log of each pod; the JVM may be in the middle of its last line."""
    for pod in kubectl.get("pods", *_WHERE).get("items", []):
        space, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        try:
            listed, logged = (kubectl("-n", space, "exec", name, "--", "cat", f) for f in (CLASS_LIST, CLASS_LOG))
        except subprocess.CalledProcessError:
            continue  # it is gone by now, or not that far
        lists[f"{space}/{name}"] = set(listed.splitlines()[:-1])
        logs[f"{space}/{name}"] = logged


def listed(lists: Iterable[set[str]]) -> set[str]:
    """The lines of all of Java's own lists; a lambda's line begins with an @."""
    lines = {line.partition(" id:")[0] for each in lists for line in each}
    return {line for line in lines if line and not line.startswith(("#", "@lambda-form"))}


def loaded(log: str) -> Iterator[Class]:
    """The classes of a process's log that can be shared, in the order in which they were loaded."""
    known: dict[str, Class] = {}
    for found in _LOADED.finditer(log):
        source = _UNPACKED.sub(PLANNER, found["source"])
        if source.startswith(("file:/opt/flink/lib/", "jrt:")) or source == "shared objects file":
            jar = ""
        elif (source == PLANNER or source.startswith(_PLUGIN)) and not found["name"].startswith("javax."):
            jar = source.removeprefix("file:")
        else:
            continue  # made while it ran, or what Java looks for nowhere but in itself
        above = [found["parent"], *(found["interfaces"] or "").split()]
        if jar and any(each not in known for each in above):
            continue  # it inherits from what was made while it ran
        inherits = tuple(known[each] for each in above) if jar else ()
        made = known[found["address"]] = Class(found["name"].replace(".", "/"), jar, inherits)
        yield made


def lines(lists: Iterable[set[str]], logs: Iterable[str]) -> list[str]:
    """What Java makes an archive of. Of several classes of a name one can be shared."""
    numbers: dict[Class, int] = {}
    names: set[str] = set()
    numbered: list[str] = []

    def number(of: Class) -> int | None:
        if of in numbers:
            return numbers[of]
        above = [number(each) for each in of.inherits]
        if of.name in names or None in above:
            return None
        names.add(of.name)
        numbers[of] = len(numbers) + 1
        parts = [f"{of.name} id: {numbers[of]}"]
        if of.jar:
            parts += [f"super: {above[0]}", *([f"interfaces: {' '.join(map(str, above[1:]))}"] if above[1:] else [])]
            parts.append(f"source: {of.jar}")
        numbered.append(" ".join(parts))
        return numbers[of]

    # Java's own first: of two of a name theirs is the one that is loaded most.
    every = sorted({each for log in logs for each in loaded(log)}, key=lambda each: (bool(each.jar), each.name))
    for each in every:
        number(each)
    return numbered + sorted(listed(lists).difference(names))


def main() -> None:
    """Look until interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has it ignored in the background
    kubectl, lists, logs = Kubectl.find(), dict[str, set[str]](), dict[str, str]()
    try:
        while True:
            look(kubectl, lists, logs)
            time.sleep(_SECONDS)
    except KeyboardInterrupt:
        pass
    target = CLASSES / f"{FLINK_VERSION}.txt.xz"
    target.parent.mkdir(exist_ok=True)
    found = lines(lists.values(), logs.values())
    target.write_bytes(lzma.compress(("\n".join(found) + "\n").encode(), preset=9))
    print(f"{target}: {len(found)} lines, of {len(lists)} pods")


if __name__ == "__main__":
    main()
