"""What is wrong with a StreamJob that the API server cannot say: the one validator, asked by every reconcile.

Everything else is refused at the API server, by the schema and the CEL rules beside the models.
"""

from collections.abc import Iterator
from typing import Final

from penstock.api.cron import cron_problem, zone_problem
from penstock.api.ownership import owned
from penstock.api.pod import ResourceRequirements
from penstock.api.program_config import WILDCARDS, wildcards_problem
from penstock.api.quantity import to_bytes, to_millicores
from penstock.api.reading import Problem
from penstock.api.replay import NAMES
from penstock.api.start_from import KEEP_NON_SOURCE, ReplayState, ReplayWish
from penstock.api.streamjob import Schedule, StreamJob
from penstock.substitution import Placeholder, parts

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
        if (advice := owned(key)) is not None:
            yield Problem(f"spec.flink.configuration[{key}]", f"{key} {advice}")
    if (problem := wildcards_problem(configuration.get(WILDCARDS, ""))) is not None:
        yield Problem(f"spec.flink.configuration[{WILDCARDS}]", problem)


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
