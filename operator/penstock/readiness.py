"""Ready of what lies outside of the cluster (a store, a broker): no answer is not a no."""

from __future__ import annotations

from datetime import datetime, timedelta

from penstock.api import constants
from penstock.api.conditions import Condition, Conditions, find_condition

GRACE = timedelta(minutes=1)
"""How long what was Ready stays so while it does not answer."""


def still_ready(conditions: Conditions, generation: int, now: datetime) -> Condition | None:
    """The Ready condition as it stands while its grace lasts, which began when Reconciling became True.

    None when it was not Ready, when that was said of another generation, or when the grace is over.
    """
    ready = find_condition(conditions, constants.READY)
    if ready is None or ready.status != "True" or ready.observed_generation != generation:
        return None
    reconciling = find_condition(conditions, constants.RECONCILING)
    silent = reconciling is not None and reconciling.status == "True"
    since = reconciling.last_transition_time if reconciling is not None and silent else None
    return ready if now - (since or now) < GRACE else None
