"""The pod that makes a program's graph without executing it: when it is made, and what it has said. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from penstock.api.preflight import Preflight, ProgramAnswer
from penstock.api.program_config import explained
from penstock.api.replay import Replay
from penstock.api.start_from import Override
from penstock.decide import health
from penstock.decide.draft import Draft
from penstock.flink.answers import Unfit, read_graph
from penstock.model import MakeGraph, ProgramPod
from penstock.statements import changes_outside

OWNER = "preflight/"
"""The owner of its effects: one that fails must not hold up what else is done about the job. No object's name."""
LIMIT = timedelta(minutes=4)
"""How long the pod is waited for; Kubernetes ends it itself before (see `build.preflight`)."""
_NAMED = 5
_NO_JOB = "the program ended without having submitted a job"
"""How the pod's answer begins (`operator/java`) when the end of the script was reached without one."""
_SHOWN = 60
_POLL_SECONDS = 5.0


@dataclass(frozen=True)
class Subject:
    """A start that is looked at."""

    text: str
    location: str | None
    """The state whose operators the program must have; None: none is restored."""
    replay: Replay | None = None
    override: tuple[Override, ...] = ()
    request: str = ""


def answered(draft: Draft, record: Preflight, subject: Subject) -> tuple[Preflight, str]:
    """The record with what its pod has said, or what is waited for, in words; the pod is made when it is time to."""
    if record.program is not None:
        return record, ""
    pod = next((each for each in draft.observed.programs if each.id == record.id), ProgramPod(record.id))
    answer = _answer(draft, record, pod)
    if answer is not None:
        return record.model_copy(update={"program": answer, "asked_at": None}), ""
    operators = _with_state(draft, record.location)
    if isinstance(operators, ProgramAnswer):
        return record.model_copy(update={"program": operators, "asked_at": None}), ""
    if operators is None:
        draft.wake(_POLL_SECONDS)
        seen = draft.observed.verified.get(record.location or "")
        if seen is not None and seen.trouble:
            return record, f"{subject.text} cannot be read: {seen.trouble}"
        return record, f"{subject.text} is being read: its operators are compared with the program's"
    if record.asked_at is None:
        draft.wake(0)
        record = record.model_copy(update={"asked_at": draft.now})
    elif not pod.made:
        states = tuple(f"{id_}:{most}" for id_, (_, most) in operators.items())
        draft.act(MakeGraph(record.id, states, subject.replay, health.guards(draft)), OWNER)
        draft.wake(1)
    else:
        draft.wake(_POLL_SECONDS)
    why = f" ({'; '.join(pod.troubles)})" if pod.troubles else ""
    return record, f"the program is tried in a pod of its own, without executing it{why}"


def _answer(draft: Draft, record: Preflight, pod: ProgramPod) -> ProgramAnswer | None:
    graph = read_graph(pod.answer)
    sql = draft.job.spec.job.sql
    outside = changes_outside(sql.script) if graph is not None and sql is not None else None
    if graph is not None and outside is not None and (not graph.failure or _NO_JOB in graph.failure):
        return ProgramAnswer(
            trouble=f"the script was tried up to line {outside.line} only: {_shortened(outside.text)} would have been "
            "carried out, and changes a catalog that outlives the job"
        )
    if graph is not None:
        known = _with_state(draft, record.location)
        text = {id_: name or id_ for id_, (name, _) in known.items()} if isinstance(known, dict) else {}
        dropped = tuple(text.get(id_, id_) for id_ in graph.missing[:_NAMED])
        unfit = "; ".join(_unfit(text.get(each.id, each.id), each) for each in graph.unfit)
        operators = None if graph.failure else graph.operators
        return ProgramAnswer(
            operators=operators,
            dropped=dropped,
            dropped_count=graph.missing_count,
            unfit=unfit,
            failure=explained(graph.failure),
        )
    why = "; ".join(pod.troubles)
    if pod.hopeless:
        return ProgramAnswer(failure=f"its pod cannot start: {why}")
    if pod.ended:
        return ProgramAnswer(trouble=f"the pod that tried the program ended without an answer: {why or 'no reason'}")
    if _is_overdue(draft, record, pod):
        return ProgramAnswer(trouble=f"the pod that tries the program has not answered in time: {why or 'no reason'}")
    return None


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _is_overdue(draft: Draft, record: Preflight, pod: ProgramPod) -> bool:
    """Counted from when the pod was made: while nobody was there to make it nothing has been tried.

    One that the API server does not take, for a quota perhaps, is not asked for without end: the status says so.
    """
    if pod.made:
        return pod.made_at is not None and draft.now >= pod.made_at + LIMIT
    last, asked_at = draft.status.last_error, record.asked_at
    if last is None or asked_at is None:
        return False
    return last.time >= asked_at and draft.now >= asked_at + LIMIT


def _unfit(name: str, found: Unfit) -> str:
    if found.changed:
        return (
            f"operator {name} has a max parallelism of {found.wanted} in the program, and its state one of "
            f"{found.most}; write {found.most} (pipeline.max-parallelism, or setMaxParallelism in code)"
        )
    return f"operator {name} has a parallelism of {found.wanted}, and its state can be split into {found.most} at most"


def _with_state(draft: Draft, location: str | None) -> dict[str, tuple[str, int]] | ProgramAnswer | None:
    """Id, name and max parallelism of the operators that have state there; None as long as it is not known."""
    if location is None:
        return {}
    seen = draft.observed.verified.get(location)
    found = seen.verification if seen is not None else None
    if found is not None and found.unreadable and not found.gone:
        return ProgramAnswer(trouble=f"{location}: {found}")
    if found is None or found.gone:
        return None
    return {id_: (name, most) for id_, name, most in found.stateful}
