"""The whole loop on one screen: observe, decide, act, write the status, say what happened."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass

from penstock import clock
from penstock.act import carry_out
from penstock.act.status import write_error, write_status
from penstock.decide import decide
from penstock.errors import PenstockError, Stale
from penstock.events import post
from penstock.model import Observed, Step
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


class Reconciler:
    """Works on one key at a time; remembers nothing but how often an object's step has failed in a row."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._failures: dict[tuple[JobKey, str], int] = {}

    async def reconcile(self, key: JobKey) -> float | None:
        """One pass. Returns the seconds until the next one is wanted; None: when something changes."""
        observed = await observe(self._world, key.namespace, key.name, uuid.uuid4().hex)
        decision = decide(observed)
        failed = [pause for step in decision.steps if (pause := await self._carry_out(key, observed, step)) is not None]
        if not failed:
            return decision.after_seconds
        # What failed is not tried again at once, whatever the decision asked for.
        return min(failed) if decision.after_seconds is None else max(min(failed), decision.after_seconds)

    async def _carry_out(self, key: JobKey, observed: Observed, step: Step) -> float | None:
        """One object's step; when an effect fails its status says so, and the steps of other objects go on."""
        try:
            for effect in step.effects:
                log.info("%s: %s", key, effect.__class__.__name__)
                await carry_out(self._world, observed, effect)
            await write_status(self._world.kube, observed, step)
        except Stale:
            raise
        except PenstockError as error:
            failures = self._failures.get((key, step.owner), 0) + 1
            self._failures[key, step.owner] = failures
            log.warning("%s %s: %s", key, step.owner, error)
            await write_error(self._world.kube, observed, step, error, clock.now())
            return backoff(failures, 0.0)
        self._failures.pop((key, step.owner), None)
        await post(self._world.kube, observed, step.events)
        return None
