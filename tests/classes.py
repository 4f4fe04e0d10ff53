"""`python3 -m tests.classes`: which classes Flink's processes in the test cluster have loaded, for the image's archive.

Beside tests that run with PENSTOCK_RECORD_CLASSES=1, of all kinds of jobs (Kafka, RocksDB, both formats of savepoints):

    PENSTOCK_RECORD_CLASSES=1 .venv/bin/pytest tests/e2e/test_states.py tests/e2e/test_replay.py

It looks at every pod each few seconds until it is interrupted, and then writes
`cluster/images/classes/<version>.txt.xz`.
"""

from __future__ import annotations

import lzma
import signal
import subprocess
import time

from cluster.images.sharing import CLASSES
from cluster.settings import FLINK_VERSION
from demo.host import Kubectl
from tests.quick import CLASS_LIST

_SECONDS = 3
_WHERE = ("-A", "-l", "penstock.dev/component in (jobmanager,taskmanager)", "--field-selector=status.phase=Running")


def look(kubectl: Kubectl, found: dict[str, set[str]]) -> None:
    """Read the list of each pod; the JVM may be in the middle of its last line."""
    for pod in kubectl.get("pods", *_WHERE).get("items", []):
        name = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        try:
            text = kubectl("-n", name[0], "exec", name[1], "--", "cat", CLASS_LIST)
        except subprocess.CalledProcessError:
            continue  # it is gone by now, or not that far
        found["/".join(name)] = set(text.splitlines()[:-1])


def names(found: dict[str, set[str]]) -> list[str]:
    """All of them, once each and in a fixed order; a lambda's line begins with an @."""
    lines = {line.partition(" id:")[0] for each in found.values() for line in each}
    return sorted(line for line in lines if line and not line.startswith(("#", "@lambda-form")))


def main() -> None:
    """Look until interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has it ignored in the background
    kubectl, found = Kubectl.find(), dict[str, set[str]]()
    try:
        while True:
            look(kubectl, found)
            time.sleep(_SECONDS)
    except KeyboardInterrupt:
        pass
    target = CLASSES / f"{FLINK_VERSION}.txt.xz"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(lzma.compress(("\n".join(names(found)) + "\n").encode(), preset=9))
    print(f"{target}: {len(names(found))} lines, of {len(found)} pods")


if __name__ == "__main__":
    main()
