"""What the user sees: one line a step with its seconds, and a heartbeat while a long one runs."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HEARTBEAT_SECONDS = 15.0


def say(text: str) -> None:
    """Print one line at once, to stderr: stdout is for what scripts read (`kubeconfig`, `versions`)."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(what: str, *, quiet_under: float = 0.0) -> Iterator[None]:
    """Say that `what` begins, that it still runs every 15 s, and how long it took.

    A step that ends within `quiet_under` seconds says one line only. A step that fails says so and raises.
    """
    began = time.monotonic()
    done = threading.Event()
    if not quiet_under:
        say(f"  {what} ...")

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            say(f"    still at it: {what}, {time.monotonic() - began:.0f} s")

    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield
    except BaseException:
        say(f"  {what}: FAILED after {time.monotonic() - began:.1f} s")
        raise
    finally:
        done.set()
        heart.join()
    took = time.monotonic() - began
    if took >= quiet_under:
        say(f"  {what}: {took:.1f} s")
