"""The operator in the toy world: it looks, decides, carries out and writes, and may die after any operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from penstock import model
from penstock.api.base import dump
from penstock.api.checkpoint import Checkpoint, Source
from penstock.decide import decide, forecast, sources, standing
from penstock.decide.needs import needs, needs_in_store
from penstock.errors import PenstockError, Refused, RetryLater, Stale
from penstock.model import Decision, Observed
from penstock.source.answers import Measured, Partition, Topic
from penstock.source.held import Held, SourceWish
from penstock.verdict import Positions, Verified
from tests.unit import builders
from tests.unit.builders import PLACE
from tests.unit.decide.rules import objection
from tests.unit.decide.toy.ground import loaded
from tests.unit.decide.toy.kubernetes import KubernetesSide
from tests.unit.decide.toy.tape import Tape

_IN_STORE = (
    model.WriteNote,
    model.DeleteKeys,
    model.DeleteCheckpointData,
    model.ForgetDeletion,
    model.DeleteJobData,
    model.DeleteHighAvailability,
)


POSITIONS = Positions({("flights", 0): 100})


class Crash(Exception):  # noqa: N818 - what happens
    """The operator's process dies here."""


class Operator(KubernetesSide):
    """One operator; `crash_after` is the number of the operation that it dies after."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0
        self.crash_after: int | None = None
        self.on_crash: Callable[[Any], None] = lambda toy: toy.tick(1)
        self.trace: list[str] = []
        self.tape: Tape | None = None

    def reconcile(self) -> Decision | None:
        """One pass; None when the operator died in it or met a conflict."""
        observed = self.observe()
        decision = decide(observed)
        try:
            for step in decision.steps:
                self._step(observed, step)
        except Crash:
            self.trace.append("   CRASH")
            self.on_crash(self)
            return None
        except Stale:
            self.trace.append("   stale")
            return None
        return decision

    def _step(self, observed: Observed, step: model.Step) -> None:
        name = step.owner
        try:
            for effect in step.effects:
                if problem := objection(observed, effect):
                    self.violations.append(problem)
                self._tell(f"{name or 'job'}: {type(effect).__name__}{_short(vars(effect))}")
                if self.store_down and isinstance(effect, _IN_STORE):
                    raise RetryLater("the store does not answer")
                getattr(self, f"_do_{type(effect).__name__}")(observed, effect)
                self._count()
            if step.status is not None:
                self._write_status(observed, name, step.status)
                self._count()
        except Stale:
            raise
        except PenstockError as error:
            self.trace.append(f"   {error}")
            status = loaded(observed, name).status
            failed = {"time": self.now.isoformat(), "reason": error.reason, "message": str(error)}
            known = status.last_error
            if known is None or known.message != str(error):
                self._write_status(observed, name, type(status).model_validate(dump(status) | {"lastError": failed}))

    def _tell(self, what: str) -> None:
        at = self.now
        self.trace.append(f"{at.hour:02}:{at.minute:02}:{at.second:02} {what}")

    def _count(self) -> None:
        self.operations += 1
        if self.operations == self.crash_after:
            raise Crash

    def _write_status(self, observed: Observed, name: str, status: Any) -> None:
        stored = self.objects.get(name)
        if stored is None:
            self.violations.append(f"a status was written to {name or 'the job'}, which is gone")
            raise Refused("not found", "NotFound", 404)
        if stored["metadata"]["resourceVersion"] != loaded(observed, name).metadata.resource_version:
            raise Stale("conflict")
        told, before = dump(status), stored["status"]
        if before != told:
            changed = {key: told.get(key) for key in (*told, *before) if told.get(key) != before.get(key)}
            self._tell(f"{name or 'job'} status: {_short(changed)}")
            self._put(name, stored | {"status": told})

    def observe(self) -> Observed:
        job, checkpoints = self.job, tuple(self.checkpoints)
        runs = tuple(view for run in sorted(self.runs) if (view := self._view(run)) is not None)
        wanted = needs(job, checkpoints, runs)
        flink = self._flink(wanted.flink) if wanted.flink else None
        wanted = needs_in_store(wanted, job, checkpoints, flink)
        by_name = {each.metadata.name: each for each in checkpoints}
        down = model.Unknown("the store does not answer") if self.store_down else None
        seen = Observed(
            now=self.now,
            fresh_run=f"{self._number():08x}" * 4,
            job=job,
            checkpoints=checkpoints,
            namespace_terminating=self.namespace_terminating,
            runs=runs if job else (),
            programs=tuple(self.programs.values()) if job else (),
            revisions=tuple(self.revisions[key] for key in sorted(self.revisions)),
            flink=flink,
            checkpointing=self._checkpointing(wanted.flink) if wanted.checkpointing else None,
            triggers={name: self._trigger(by_name[name].status) for name in wanted.triggers},
            store=model.StoreView(PLACE, builders.store()),
            listing=(down or self._listing()) if wanted.listing else None,
            targets={
                name: down or self._target(_directory(by_name[name]), by_name[name].metadata.uid)
                for name in wanted.targets
            },
            job_result=down or self._result(wanted.job_result),
        )
        return replace(seen, verified=self._verified(seen), held=self._held(seen))

    def _verified(self, seen: Observed) -> dict[str, Verified]:
        """Every state is whole, and goes on at offset 100 of the one partition that there is."""
        whole = replace(builders.WHOLE, positions=POSITIONS)
        return {where: replace(each, verification=whole) for where, each in builders.whole(seen).items()}

    def _held(self, seen: Observed) -> dict[SourceWish, Held]:
        """The broker answers at once, if at all."""
        asked = (*sources.wishes(seen), *standing.wishes(seen), *forecast.wishes(seen))
        if self.broker_down:
            return {wish: Held(wish, self.now, trouble="no broker answers") for wish in asked}
        measured = Measured((Topic("flights", (Partition(0, self.earliest, 10_000),), 3_600_000),))
        place = {("flights", 0): self.earliest}
        return {
            wish: Held(wish, self.now, replace(measured, offsets=dict.fromkeys(wish.times, place)), POSITIONS)
            for wish in asked
        }


def _directory(checkpoint: Checkpoint) -> str | None:
    status = checkpoint.status
    return status.location if checkpoint.spec.source is Source.RETAINED else status.target_directory


def _short(fields: dict[str, Any]) -> str:
    """Without what is long and of no help."""
    told = {key: value for key, value in fields.items() if key not in ("spec", "conditions", "latestCheckpoint")}
    return str(told)[:240]
