"""Processes that the harness starts: they die with it, and one can be killed by identity, never by a reused pid."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends: nothing is left when the harness is killed."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_PORTS = iter(random.sample(range(20_000, 32_000), 12_000))
"""Below the range from which outgoing connections take theirs, and none is given twice."""


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    for port in _PORTS:
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("there is no free port left")


def start(command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a background process that writes into a log and dies with the harness."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            # Runs in the child before anything else; the harness has no other thread that holds a lock by then.
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )


def stop(process: subprocess.Popen[bytes], seconds: float = 5) -> None:
    """End a process that was started here."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(seconds)


class Process:
    """A process by its pidfd: killed and waited for by identity, whoever its parent is."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._gone = asyncio.Event()
        self._handle = -1
        try:
            self._handle = os.pidfd_open(pid)
        except ProcessLookupError:
            self._gone.set()
            return
        # A pidfd is readable when its process has ended.
        asyncio.get_running_loop().add_reader(self._handle, self._has_ended)

    def _has_ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._handle)
        os.close(self._handle)
        self._handle = -1
        self._gone.set()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return not self._gone.is_set()

    async def gone(self) -> None:
        """Wait for its end."""
        await self._gone.wait()

    async def kill(self) -> None:
        """SIGKILL, and wait until it is dead: nothing that it would have done can happen after this."""
        if self.alive:
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        await self.gone()


class Zygote:
    """A Python that has imported the operator and forks a copy for each start.

    Importing kopf, kubernetes and boto3 takes more CPU than a whole scenario. What is forked is a process of its own
    and runs the same `main()` as `python3 -m penstock`.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls, log: Path) -> Zygote:
        """Start it; it is ready when the first operator is asked for."""
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(Path(__file__).with_name("launcher.py")),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                env=_clean({"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"}),
                preexec_fn=die_with_parent,
            )
        return cls(process)

    async def fork(self, env: Mapping[str, str], log: Path, broken: str = "") -> Process:
        """Start an operator with these settings; `broken` names one of `broken.WAYS`."""
        asked = {"env": _clean(env), "log": str(log), "broken": broken}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._lock:
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            answer = await self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the launcher of operators has ended; see its log")
        return Process(int(json.loads(answer)["pid"]))

    async def close(self) -> None:
        """End it; operators that still run die with it."""
        self._process.kill()
        await self._process.wait()


async def start_whole(env: Mapping[str, str], log: Path) -> tuple[Process, asyncio.subprocess.Process]:
    """Start the operator as its image does, by `python3 -m penstock`."""
    with log.open("ab") as output:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "penstock",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_clean({"PYTHONPATH": str(ROOT / "operator"), **env}),
            preexec_fn=die_with_parent,
        )
    return Process(child.pid), child


def _clean(env: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the caller's environment reaches the operator but what every program needs."""
    return {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ} | dict(env)
