"""What is wrong with a StreamJob that the API server cannot say: the one validator, asked by every reconcile.

Everything else is refused at the API server, by the schema and the CEL rules beside the models.
"""

from collections.abc import Iterator
from typing import Final

from penstock.api.cron import cron_problem, zone_problem
from penstock.api.pod import ResourceRequirements
from penstock.api.quantity import to_bytes, to_millicores
from penstock.api.reading import Problem
from penstock.api.replay import NAMES
from penstock.api.start_from import KEEP_NON_SOURCE, ReplayState, ReplayWish
from penstock.api.streamjob import Schedule, StreamJob
from penstock.substitution import Placeholder, parts

_STORE = "is made from the CheckpointStore; name one in spec.checkpoints.store"
_RUN = "is set by Penstock for each run; leave it out"

# Keys of flink.configuration that Penstock sets itself, with what to do instead. A key that ends with a dot stands
# for all keys that begin with it. Older names of Flink 1.20 are listed too: 2.x still reads them.
_GIVEN_UP: Final = "has no effect on Flink's application mode; write spec.startFrom.override: [StateWouldBeDropped]"
OWNED_CONFIGURATION: Final = {
    "parallelism.default": "is spec.parallelism",
    "taskmanager.numberOfTaskSlots": "is spec.taskManager.slots",
    "jobmanager.memory.process.size": "is spec.jobManager.resources.limits.memory",
    "jobmanager.memory.flink.size": "is spec.jobManager.resources.limits.memory",
    "taskmanager.memory.process.size": "is spec.taskManager.resources.limits.memory",
    "taskmanager.memory.flink.size": "is spec.taskManager.resources.limits.memory",
    "execution.checkpointing.interval": "is spec.checkpoints.interval",
    "execution.checkpointing.timeout": "is spec.checkpoints.timeout",
    "execution.checkpointing.num-retained": "is spec.checkpoints.retention.numRetained",
    "state.checkpoints.num-retained": "is spec.checkpoints.retention.numRetained",
    "execution.checkpointing.externalized-checkpoint-retention": "is always RETAIN_ON_CANCELLATION; leave it out",
    "execution.checkpointing.dir": _STORE,
    "execution.checkpointing.savepoint-dir": _STORE,
    "state.checkpoints.dir": _STORE,
    "state.savepoints.dir": _STORE,
    "s3.endpoint": _STORE,
    "s3.access-key": _STORE,
    "s3.access.key": _STORE,
    "s3.secret-key": _STORE,
    "s3.secret.key": _STORE,
    "s3.path-style-access": _STORE,
    "s3.path.style.access": _STORE,
    "execution.state-recovery.path": "is spec.startFrom",
    "execution.savepoint.path": "is spec.startFrom",
    "execution.state-recovery.ignore-unclaimed-state": _GIVEN_UP,
    "execution.savepoint.ignore-unclaimed-state": _GIVEN_UP,
    "execution.state-recovery.claim-mode": "is always NO_CLAIM; leave it out",
    "execution.savepoint-restore-mode": "is always NO_CLAIM; leave it out",
    "execution.target": _RUN,
    "execution.shutdown-on-application-finish": _RUN,
    "execution.submit-failed-job-on-application-error": _RUN,
    "high-availability": _RUN,
    "high-availability.": _RUN,
    "kubernetes.": _RUN,
    "job-result-store.": _RUN,
    "application-result-store.": _RUN,
    "jobmanager.rpc.": _RUN,
    "jobmanager.bind-host": _RUN,
    "taskmanager.host": _RUN,
    "taskmanager.bind-host": _RUN,
    "taskmanager.rpc.port": _RUN,
    "blob.server.port": _RUN,
    "rest.address": _RUN,
    "rest.bind-address": _RUN,
    "rest.port": _RUN,
    "rest.bind-port": _RUN,
    "web.submit.enable": "is always false; leave it out",
    "web.refresh-interval": "is always short enough for Penstock to follow a stop; leave it out",
    "rest.cache.checkpoint-statistics.timeout": "is always short enough for Penstock to follow a stop; leave it out",
    "jobstore.expiration-time": "is always long enough for Penstock to read how a job ended; leave it out",
    "completed-application-store.expiration-time": "is always long enough to read how a job ended; leave it out",
    "web.checkpoints.history": "is always long enough for Penstock to see every checkpoint; leave it out",
    "$internal.": "is internal to Flink; leave it out",
}

_PREFIXES: Final = tuple(key for key in OWNED_CONFIGURATION if key.endswith("."))

# Below this Flink has no room for its own overhead; it also finds "1024", which means bytes.
_SMALLEST_MEMORY: Final = 256 * 1024**2


def validate_stream_job(job: StreamJob) -> list[Problem]:
    """Everything that is wrong with the spec, in the order of its fields; empty when it can be run."""
    spec = job.spec
    problems = [*_configuration(spec.flink.configuration)]
    if spec.job.sql is not None:
        problems += _substitutions("spec.job.sql.script", spec.job.sql.script)
    if spec.job.jar is not None:
        for position, argument in enumerate(spec.job.jar.args):
            problems += _substitutions(f"spec.job.jar.args[{position}]", argument)
    problems += _replay(spec.start_from.replay)
    problems += _resources("spec.jobManager.resources", spec.job_manager.resources)
    problems += _resources("spec.taskManager.resources", spec.task_manager.resources)
    return problems + schedule_problems(spec.checkpoints.schedule)


def schedule_problems(schedule: Schedule | None) -> list[Problem]:
    """What is wrong with `spec.checkpoints.schedule`; a job runs without one as well, so it hinders no start."""
    if schedule is None:
        return []
    found = {"cron": cron_problem(schedule.cron), "timeZone": zone_problem(schedule.time_zone)}
    return [
        Problem(f"spec.checkpoints.schedule.{field}", message, hinders=False)
        for field, message in found.items()
        if message
    ]


def _configuration(configuration: dict[str, str]) -> Iterator[Problem]:
    for key in configuration:
        advice = OWNED_CONFIGURATION.get(key)
        if advice is None:
            advice = next((OWNED_CONFIGURATION[prefix] for prefix in _PREFIXES if key.startswith(prefix)), None)
        if advice is not None:
            yield Problem(f"spec.flink.configuration[{key}]", f"{key} {advice}")


def _replay(wish: ReplayWish | None) -> Iterator[Problem]:
    """What the API server refuses, too; one that was stored before it did must not be taken for something else."""
    if wish is not None and wish.state is ReplayState.KEEP_NON_SOURCE:
        field, _, message = KEEP_NON_SOURCE.partition(": ")
        yield Problem(field, message)


def _substitutions(path: str, text: str) -> Iterator[Problem]:
    for part in parts(text):
        if not isinstance(part, Placeholder) or part.secret is not None or part.constant in NAMES:
            continue
        line = text.count("\n", 0, part.offset) + 1
        itself = f"${part.words} to mean the text itself"
        if part.is_reserved:
            known = ", ".join(f"${{{name}}}" for name in NAMES)
            problem = f"is reserved for Penstock, and means nothing; write one of {known}, or {itself}"
        else:
            problem = f"names no key of a Secret; write ${{secret:name/key}}, or {itself}"
        yield Problem(path, f"line {line}: {part.words} {problem}")


def _resources(path: str, resources: ResourceRequirements) -> Iterator[Problem]:
    requests, limits = resources.requests, resources.limits
    for side, given in (("limits", limits.memory), ("requests", requests.memory)):
        if given is not None and to_bytes(given) < _SMALLEST_MEMORY:
            yield Problem(f"{path}.{side}.memory", f"{given} is less than Flink needs to start; write for example 1Gi")
    if limits.cpu is not None and to_millicores(limits.cpu) == 0:
        yield Problem(f"{path}.limits.cpu", "0 leaves no time to run; write for example 500m, or leave it out")
    for name, request, limit, measure in (
        ("cpu", requests.cpu, limits.cpu, to_millicores),
        ("memory", requests.memory, limits.memory, to_bytes),
    ):
        if request is not None and limit is not None and measure(request) > measure(limit):
            yield Problem(
                f"{path}.requests.{name}",
                f"{request} is more than {path}.limits.{name}, {limit}; write at most {limit}",
            )
