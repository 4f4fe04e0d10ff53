"""The state machine of what must never be deleted (`tests/unit/inventory/test_machine.py`), for longer than there."""

from __future__ import annotations

import sys
import traceback

from hypothesis import settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from tests.unit.inventory.test_machine import Deletions

_WALK = 40
"""Steps of one walk."""


class Counted(Deletions):
    """The same, its steps counted."""

    steps = 0

    @invariant()
    def one_more_step(self) -> None:
        Counted.steps += 1


def walk(steps: int) -> bool:
    """Take at least so many steps; False when a state lost a file, or a deleted one left one."""
    Counted.steps, failures = 0, 0
    walks = -(-steps // _WALK)
    rules = settings(max_examples=walks, stateful_step_count=_WALK, deadline=None, report_multiple_bugs=False)
    try:
        while Counted.steps < steps and not failures:
            run_state_machine_as_test(Counted, settings=rules)
    except Exception:  # noqa: BLE001 - whatever it is, it is told, and the crash points are played all the same
        failures = 1
        traceback.print_exc(file=sys.stdout)
    print(f"references machine {Counted.steps} steps, failures {failures}", flush=True)
    return not failures
