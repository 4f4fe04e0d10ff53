"""Kubernetes' side of the toy world: the objects that users and the operator make, and the pods of runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from penstock import model, names
from penstock.api import constants
from penstock.api.base import dump
from penstock.api.checkpoint import Checkpoint
from penstock.api.replay import Replay
from penstock.api.streamjob import StreamJob
from penstock.api.streamjob_status import StartedFrom
from penstock.build.checkpoint import operator_made
from penstock.decide.change import spec_hash
from penstock.errors import Stale
from penstock.model import Manager, Observed, Revision, RunObjects
from tests.unit import builders
from tests.unit.builders import JOB
from tests.unit.decide.toy.flink import DIES, DROPS, NO_GRAPH, PENDS, SILENT, FlinkSide
from tests.unit.decide.toy.ground import Deployed, loaded

KINDS = frozenset({"ConfigMap", "Secret", "Service", "Deployment", "Job"})


class KubernetesSide(FlinkSide):
    """The API server and its controllers."""

    # ------------------------------------------------------------ what a user does

    @property
    def job(self) -> StreamJob | None:
        return self._read("") if "" in self.objects else None

    @property
    def checkpoints(self) -> list[Checkpoint]:
        return [self._read(name) for name in self.objects if name]

    @property
    def status(self) -> Any:
        """The StreamJob's status."""
        assert self.job is not None
        return self.job.status

    def edit(self, **change: Any) -> None:
        """Change the StreamJob's spec; `checkpoints` is added to."""
        stored = self.objects[""]
        spec = dict(stored["spec"])
        if "checkpoints" in change:
            change["checkpoints"] = spec["checkpoints"] | change["checkpoints"]
        metadata = stored["metadata"] | {"generation": stored["metadata"]["generation"] + 1}
        self._put("", stored | {"spec": spec | change, "metadata": metadata})

    def create_checkpoint(self, name: str, **spec: Any) -> None:
        made = builders.checkpoint(name, self._number(), finalizers=(), created=self.now, **spec)
        self._put(name, dump(made))

    def delete(self, name: str = "") -> None:
        stored = self.objects[name]
        if not stored["metadata"].get("finalizers"):
            del self.objects[name]
            return
        metadata = {"deletionTimestamp": self.now.isoformat()} | stored["metadata"]
        self._put(name, stored | {"metadata": metadata})

    def lose_status(self, name: str = "") -> None:
        self._put(name, self.objects[name] | {"status": {}})

    def kill_job_managers(self) -> None:
        """Every JobManager's process dies; its Job will make another pod."""
        for deployed in self.runs.values():
            deployed.process = None

    def lose_high_availability(self) -> None:
        for deployed in self.runs.values():
            deployed.plan, deployed.pointer, deployed.pointers_exist = False, "", False

    # ------------------------------------------------------------ runs

    def _result(self, run: str) -> str | None:
        return (self.runs[run].result or None) if run in self.runs else None

    def _view(self, run: str) -> RunObjects | None:
        deployed = self.runs[run]
        if not (deployed.kinds or deployed.permit or deployed.pods):
            return None
        applied = deployed.applied if "Job" in deployed.kinds else None
        manager = Manager.ABSENT if applied is None else Manager.FAILED if deployed.failed else Manager.ACTIVE
        pointers = (names.checkpoint_pointers(JOB, run),) if deployed.pointers_exist else ()
        return RunObjects(
            run,
            manager=manager,
            missing=tuple(sorted(KINDS - {"Secret"} - deployed.kinds)),
            permit=deployed.permit,
            pods=deployed.pods,
            manager_pods=int(deployed.process is not None),
            objects=len(deployed.kinds - {"Secret"}) + deployed.permit,
            ha_config_maps=pointers,
            job_version=applied.version if applied else 0,
            spec_hash=applied.spec_hash if applied else "",
            started_from=applied.started_from if applied else "",
        )

    def _pods(self, run: str, deployed: Deployed) -> None:
        if "Job" not in deployed.kinds:
            if deployed.process is not None:
                deployed.process = None  # terminating: its pods are gone at the next move
            else:
                deployed.pods = 0
            return
        if deployed.process is not None or deployed.failed:
            return
        assert deployed.applied is not None
        replay = _told(deployed.applied)
        if deployed.applied.spec.parallelism == PENDS:
            return
        if deployed.permit:
            deployed.permit, deployed.permit_used = False, True
            self.starts.append((run, deployed.applied.restore_from))
            deployed.process = self._started(deployed.applied.restore_from, replay)
            self._replayed(deployed.applied.restore_from, replay)
            newest = max((file.value for file in self.store.values()), default=0)
            self.lost.append(newest - deployed.process.value)
            if deployed.applied.spec.parallelism == DIES:
                deployed.process = None
        elif deployed.plan and deployed.pointer:
            deployed.process = self._started(deployed.pointer, replay)
        else:
            deployed.failed, deployed.pods = True, 0
            return
        deployed.pods = 2

    def _replayed(self, restore_from: str, replay: Replay | None) -> None:
        """A wish for a replay has its times from its first start on, be it begun again."""
        applied = self.status.applied if self.job is not None else None
        if restore_from or replay is None or applied is None:
            return
        first = self.replays.setdefault(str(dump(applied)), replay)
        if first != replay:
            self.violations.append(f"the {first} was begun again as {replay}")

    # ------------------------------------------------------------ effects

    def _do_SetFinalizer(self, observed: Observed, effect: model.SetFinalizer) -> None:  # noqa: N802
        name = "" if effect.kind == "StreamJob" else effect.name
        stored, seen = self.objects.get(name), loaded(observed, name)
        if stored is None or stored["metadata"]["resourceVersion"] != seen.metadata.resource_version:
            raise Stale("conflict")
        own = constants.FINALIZER_DATA if name else constants.FINALIZER_RUN
        others = [each for each in stored["metadata"].get("finalizers", []) if each != own]
        finalizers = [*others, own] if effect.present else others
        self._put(name, stored | {"metadata": stored["metadata"] | {"finalizers": finalizers}})
        if stored["metadata"].get("deletionTimestamp") and not finalizers:
            del self.objects[name]
            if not name:  # the garbage collector
                self.programs.clear()
                for deployed in self.runs.values():
                    deployed.kinds, deployed.permit, deployed.process = set(), False, None

    def _do_RecordRevision(self, _: Observed, effect: model.RecordRevision) -> None:  # noqa: N802
        made = Revision(effect.version, effect.spec_hash, dump(effect.spec))
        if self.revisions.setdefault(effect.version, made).spec_hash != spec_hash(effect.spec):
            self.violations.append(f"job version {effect.version} was recorded with two specs")

    def _do_RecordRun(self, _: Observed, effect: model.RecordRun) -> None:  # noqa: N802
        version = int(effect.revision.rpartition("-v")[2])
        runs = dict(self.revisions[version].runs)
        before = runs.get(effect.run)
        if before is not None and (before.location, before.kind) != (effect.record.location, effect.record.kind):
            self.violations.append(f"run {effect.run} was recorded with two starts")
        if before is not None and before.end_state is not None:
            self.violations.append(f"run {effect.run} was recorded again after its end")
        self.revisions[version] = replace(self.revisions[version], runs=runs | {effect.run: effect.record})

    def _do_GrantPermit(self, _: Observed, effect: model.GrantPermit) -> None:  # noqa: N802
        deployed = self.runs.setdefault(effect.run, Deployed())
        if deployed.permit_used:
            self.violations.append(f"run {effect.run} was permitted again after its first start")
        deployed.permit = True

    def _do_ApplyRun(self, _: Observed, effect: model.ApplyRun) -> None:  # noqa: N802
        deployed = self.runs.setdefault(effect.run, Deployed())
        deployed.kinds = set(KINDS)
        if deployed.applied is not None and deployed.applied.restore_from != effect.restore_from:
            self.violations.append(f"run {effect.run} was applied with two restore paths")
        if deployed.applied is not None and _told(deployed.applied) != _told(effect):
            self.violations.append(f"run {effect.run} was applied with two replays")
        deployed.applied = effect

    def _try_programs(self) -> None:
        """Pods of preflights come to their end."""
        if all(pod.ended for pod in self.programs.values()):
            return
        width = self.job.spec.parallelism if self.job is not None else 0
        answer = {DROPS: "graph 3 1\n" + "d" * 32, NO_GRAPH: "failed\nno such table"}.get(width, builders.FITS)
        for id_, pod in self.programs.items():
            if not pod.ended and width != SILENT:
                self.programs[id_] = replace(pod, answer=answer, ended=True)

    def _do_MakeGraph(self, _: Observed, effect: model.MakeGraph) -> None:  # noqa: N802
        if effect.id in self.programs:
            self.violations.append(f"the program of preflight {effect.id} is tried twice")
        self.programs[effect.id] = model.ProgramPod(effect.id, made=True, made_at=self.now)

    def _do_DeleteGraph(self, _: Observed, effect: model.DeleteGraph) -> None:  # noqa: N802
        self.programs.pop(effect.id, None)

    def _do_DeleteRun(self, _: Observed, effect: model.DeleteRun) -> None:  # noqa: N802
        deployed = self.runs[effect.run]
        if deployed.process is not None and deployed.process.live and deployed.kinds:
            self.violations.append(f"run {effect.run} lost its TaskManagers while its JobManager had a job")
        deployed.kinds, deployed.permit = set(), False

    def _do_DeleteManager(self, _: Observed, effect: model.DeleteManager) -> None:  # noqa: N802
        self.runs[effect.run].kinds.discard("Job")

    def _do_DeletePods(self, observed: Observed, effect: model.DeletePods) -> None:  # noqa: N802
        """Pods are a number here."""

    def _do_DeleteHighAvailability(self, _: Observed, effect: model.DeleteHighAvailability) -> None:  # noqa: N802
        deployed = self.runs.setdefault(effect.run, Deployed())
        if deployed.process is not None:
            self.violations.append("HA data was deleted under a JobManager")
        deployed.plan, deployed.pointer, deployed.pointers_exist, deployed.result = False, "", False, ""

    def _do_CreateCheckpoint(self, observed: Observed, effect: model.CreateCheckpoint) -> None:  # noqa: N802
        assert observed.job is not None
        if effect.name in self.objects:
            return
        made = operator_made(observed.job, effect)
        meta = {"uid": builders.uid(self._number()), "generation": 1, "creationTimestamp": self.now.isoformat()}
        self._put(effect.name, made | {"metadata": made["metadata"] | meta, "status": {}})

    def _do_DeleteCheckpoint(self, _: Observed, effect: model.DeleteCheckpoint) -> None:  # noqa: N802
        if effect.name in self.objects:
            self.delete(effect.name)


def _told(applied: model.ApplyRun) -> Replay | None:
    """The times that are in the script and the arguments of a run."""
    return StartedFrom.model_validate_json(applied.started_from).replay
