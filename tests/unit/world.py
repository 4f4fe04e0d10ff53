"""A World of fakes, for what looks at it and what acts on it."""

from __future__ import annotations

from typing import Any

from penstock.api import constants
from penstock.api.base import dump
from penstock.api.checkpoint import Checkpoint
from penstock.api.streamjob import StreamJob
from penstock.flink.answers import Checkpointing, FlinkJob, NotTriggered, Trigger
from penstock.flink.progress import Progress
from penstock.inventory.verifier import Verifier
from penstock.model import Observed, StoreView
from penstock.settings import Settings
from penstock.source.answers import Measured
from penstock.source.held import SourceWish
from penstock.source.looks import Looks
from penstock.source.measurer import Measurer
from tests.unit.builders import FRESH_RUN, KEEPS, NAMESPACE, NOW, PLACE, flink, store, store_manifest
from tests.unit.fakes import FakeKube, FakeStore, Manifest

SPACE: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
CRDS: list[Manifest] = [
    {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{constants.GROUP}"},
    }
    for plural in (constants.STREAMJOBS, constants.CHECKPOINTS)
]


class FakeFlink:
    """One job's answers; what is asked of it is kept. An answer that is an error is raised."""

    def __init__(self, job: FlinkJob | Exception | None = None, trigger: Trigger | Exception | None = None) -> None:
        self.answer: FlinkJob | Exception | None = job or flink()
        self.trigger_answer: Trigger | Exception = trigger or NotTriggered()
        self.asked: list[tuple[str, ...]] = []
        self.checkpoints: Checkpointing | Exception | None = KEEPS
        self.busy: int | None = None
        self.read: Progress | Exception = Progress()
        self.why: str | Exception = ""

    async def job(self, base: str, run: str) -> FlinkJob | None:
        self.asked.append(("job", base, run))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def trigger(self, base: str, run: str, trigger_id: str) -> Trigger:
        self.asked.append(("trigger", base, run, trigger_id))
        if isinstance(self.trigger_answer, Exception):
            raise self.trigger_answer
        return self.trigger_answer

    async def checkpointing(self, base: str, run: str) -> Checkpointing | None:
        self.asked.append(("checkpointing", base, run))
        if isinstance(self.checkpoints, Exception):
            raise self.checkpoints
        return self.checkpoints

    async def busiest(self, base: str, run: str) -> int | None:
        self.asked.append(("busiest", base, run))
        return self.busy

    async def progress(self, base: str, run: str) -> Progress:
        self.asked.append(("progress", base, run))
        if isinstance(self.read, Exception):
            raise self.read
        return self.read

    async def fault(self, base: str, run: str) -> str:
        self.asked.append(("fault", base, run))
        if isinstance(self.why, Exception):
            raise self.why
        return self.why

    async def savepoint(self, base: str, run: str, trigger_id: str, target: str, form: str) -> None:
        self.asked.append(("savepoint", base, run, trigger_id, target, form))

    async def stop(self, base: str, run: str, trigger_id: str, target: str, form: str) -> None:
        self.asked.append(("stop", base, run, trigger_id, target, form))

    async def cancel(self, base: str, run: str) -> None:
        self.asked.append(("cancel", base, run))


class FakeWorld:
    """What `penstock.world.World` is, with fakes for its clients."""

    def __init__(
        self, *manifests: Manifest, store: FakeStore | None = None, flink: FakeFlink | None = None, ready: bool = True
    ) -> None:
        self.settings = Settings(image="penstock.dev/operator:test", flink_image="flink:2.3")
        self.kube = FakeKube(SPACE, *CRDS, *([store_manifest()] if ready else []), *manifests)
        self.store = store or FakeStore()
        self.flink = flink or FakeFlink()
        self.woken: list[tuple[str, str]] = []
        self.verifier = Verifier(lambda *job: self.woken.append(job))
        self.looks = Looks()
        self.measured: list[SourceWish] = []
        self.topics = Measured((), ())
        self.measurer = Measurer(self._measure, lambda *job: self.woken.append(job))

    async def _measure(self, wish: SourceWish) -> Measured:
        self.measured.append(wish)
        return self.topics

    def flink_address(self, host: str) -> str:
        return f"http://{host}:8081"

    async def object_store(self, _store: Any) -> FakeStore:
        return self.store


def manifest(made: StreamJob | Checkpoint) -> Manifest:
    """A model as the API gives it."""
    kind = {"apiVersion": constants.API_VERSION, "kind": made.kind}
    return dump(made) | kind


def seen(*checkpoints: Checkpoint, job: StreamJob | None = None, **more: Any) -> Observed:
    """An Observed for an executor."""
    base: dict[str, Any] = {"store": StoreView(PLACE, store())}
    return Observed(now=NOW, fresh_run=FRESH_RUN, job=job, checkpoints=checkpoints, **(base | more))
