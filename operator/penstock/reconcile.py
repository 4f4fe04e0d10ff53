"""The whole loop on one screen: observe, decide, act, write the status, say what happened."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock import clock
from penstock.act import carry_out
from penstock.act.status import write_error, write_status
from penstock.decide import decide
from penstock.errors import PenstockError, Stale
from penstock.events import post
from penstock.model import Effect, Observed, Step
from penstock.observe import observe
from penstock.queue import backoff
from penstock.world import World

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobKey:
    """A StreamJob with all its Checkpoints: the unit that is never worked on twice at once."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """As it stands in the log."""
        return f"{self.namespace}/{self.name}"


_PATIENCE_SECONDS = 5.0
"""When one object's step keeps failing, the others' wait no longer than that for the next pass."""


@dataclass(frozen=True)
class _Failed:
    """What was tried for an object last, in vain: not again before that time, unless something else is to be tried."""

    effects: tuple[Effect, ...]
    times: int
    again: datetime


class Reconciler:
    """Works on one key at a time; remembers nothing but what of an object has failed, and how often in a row."""

    def __init__(self, world: World, may_act: Callable[[], bool] = lambda: True) -> None:
        self._world = world
        self._may_act = may_act
        self._failures: dict[tuple[JobKey, str], _Failed] = {}

    async def reconcile(self, key: JobKey) -> float | None:
        """One pass. Returns the seconds until the next one is wanted; None: when something changes."""
        observed = await observe(self._world, key.namespace, key.name, uuid.uuid4().hex)
        decision = decide(observed)
        failed = [pause for step in decision.steps if (pause := await self._carry_out(key, observed, step)) is not None]
        if not failed or decision.after_seconds is None:
            return min(failed, default=decision.after_seconds)
        # The pass may have been asked for at once by what has failed; but a savepoint under way wants to be polled.
        return min(*failed, max(decision.after_seconds, min(*failed, _PATIENCE_SECONDS)))

    async def _carry_out(self, key: JobKey, observed: Observed, step: Step) -> float | None:
        """One object's step; when an effect fails its status says so, and the steps of other objects go on."""
        failed = self._failures.get((key, step.owner))
        if failed is not None and failed.effects == step.effects and observed.now < failed.again:
            return (failed.again - observed.now).total_seconds()
        try:
            for effect in step.effects:
                self._must_hold_the_lease()
                log.info("%s: %s", key, effect.__class__.__name__)
                await carry_out(self._world, observed, effect)
            self._must_hold_the_lease()
            await write_status(self._world.kube, observed, step)
        except Stale:
            raise
        except PenstockError as error:
            times = failed.times + 1 if failed is not None else 1
            pause = backoff(times, 0.0)
            self._failures[key, step.owner] = _Failed(step.effects, times, clock.now() + timedelta(seconds=pause))
            log.warning("%s %s: %s", key, step.owner, error)
            await write_error(self._world.kube, observed, step, error, clock.now())
            return pause
        self._failures.pop((key, step.owner), None)
        await post(self._world.kube, observed, step.events)
        return None

    def _must_hold_the_lease(self) -> None:
        """The event loop may have stood still meanwhile: nobody has told that the lease was not renewed.

        Raises:
            Stale: another operator may act by now.
        """
        if not self._may_act():
            msg = "the lease was not renewed in time: another operator may act by now"
            raise Stale(msg)
