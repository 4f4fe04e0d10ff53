"""Background processes by identity: a pid alone may by now be somebody else's."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.cache import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROC = Path("/proc")


@dataclass(frozen=True)
class Identity:
    """Who a process is: its pid, its start in clock ticks since boot, and which boot that was."""

    pid: int
    started: int
    boot: str


def boot_id() -> str:
    """A name of this boot of the kernel."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def parse_stat(stat: str) -> tuple[str, int]:
    """State letter and start time out of /proc/<pid>/stat, whose second field may hold spaces and parentheses."""
    fields = stat[stat.rindex(")") + 2 :].split()
    return fields[0], int(fields[19])


def identify(pid: int) -> Identity | None:
    """The identity of a live process; None when it is gone or a zombie."""
    try:
        state, started = parse_stat((PROC / str(pid) / "stat").read_text())
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else Identity(pid, started, boot_id())


def alive(identity: Identity | None) -> bool:
    """Whether exactly that process still runs."""
    return identity is not None and identify(identity.pid) == identity


def save(path: Path, identity: Identity) -> None:
    """Write a pid file."""
    write_atomic(path, json.dumps(asdict(identity)) + "\n")


def load(path: Path) -> Identity | None:
    """Read a pid file; None when there is none or it is broken."""
    try:
        values = json.loads(path.read_text())
        return Identity(int(values["pid"]), int(values["started"]), str(values["boot"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def start(command: Sequence[str | Path], pid_file: Path, log: Path, env: Mapping[str, str] | None = None) -> Identity:
    """Start a process in a session of its own, so that a Ctrl-C in the terminal does not reach it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in command]
    # Not subprocess.Popen: its object would complain that the child outlives it, as it shall.
    pid = os.posix_spawnp(
        words[0],
        words,
        {**os.environ, **(env or {})},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGPIPE],  # which Python ignores, and what it starts would inherit that
    )
    # It may have died already; then it is a zombie of ours, and this identity is never alive again.
    identity = identify(pid) or Identity(pid, -1, boot_id())
    save(pid_file, identity)
    return identity


def send(identity: Identity, number: signal.Signals) -> None:
    """Signal exactly that process.

    The pidfd is opened first and the identity checked after it, so that the signal cannot reach a later process that
    got the same pid in between.
    """
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    try:
        if alive(identity):
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def wait_gone(identities: Sequence[Identity], seconds: float) -> list[Identity]:
    """Wait for processes to end; return those which have not."""
    deadline = time.monotonic() + seconds
    left = [identity for identity in identities if alive(identity)]
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [identity for identity in left if alive(identity)]
    return left


def stop(identity: Identity | None, grace: float) -> None:
    """End a process: SIGTERM, `grace` seconds, SIGKILL."""
    if identity is None or not alive(identity):
        return
    send(identity, signal.SIGTERM)
    if wait_gone([identity], grace):
        send(identity, signal.SIGKILL)
        wait_gone([identity], 5)


def command_line(pid: int) -> list[str]:
    """The words of a process' command; empty when it is gone or a kernel thread."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def all_pids() -> list[int]:
    """The pids of this moment."""
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
