"""Running other programs: their output is kept and shown only when they fail."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from cluster.settings import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TAIL_LINES = 25
SHOWN_WORDS = 8


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """The last lines of a text, indented, to print under a sentence."""
    return "\n".join("    | " + line for line in text.splitlines()[-lines:])


def tail_file(path: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a file, or that it is missing."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 64 * 1024))
            return tail(file.read().decode(errors="replace"), lines)
    except OSError:
        return f"    | ({path} cannot be read)"


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
) -> str:
    """Run a program to its end and return its stdout; raise ClusterError with the end of its output when it fails.

    `env` is added to the environment. Builds run niced: a cluster must not freeze the machine that it is built on.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise ClusterError(f"{words[0]} is not installed ({error}).") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"`{' '.join(words[:4])} ...` did not end within {timeout:.0f} s.") from error
    if done.returncode != 0:
        shown = " ".join(words if len(words) <= SHOWN_WORDS else [*words[:SHOWN_WORDS], "..."])
        raise ClusterError(f"`{shown}` ended with {done.returncode}:\n{tail(done.stdout + done.stderr)}")
    return done.stdout


def attempt(command: Sequence[str | Path], timeout: float = 30.0) -> str | None:
    """Run a program for its stdout; None when it is missing, fails or hangs."""
    try:
        return run(command, timeout=timeout)
    except ClusterError:
        return None
