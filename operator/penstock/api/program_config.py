"""What a program may change of Flink's configuration, by SET, in code or by arguments: all but what state depends upon.

Flink compares the configuration of a job that is submitted with the cluster's (`execution.program-config.enabled`), and
refuses it when more differs than it is told to pass over. It is told so by keys, each of which stands for all that
begin with it and a dot, too; so there is no way to name what may *not* differ, and all else is named here.
"""

import re
from typing import Final

from penstock.api.ownership import owned

# What of `execution` and `state` a program may change. A key that is not here, and begins with neither of the next
# table, is refused: where checkpoints go, whether they stay, what is restored.
_FINE: Final = (
    "execution.attached",
    "execution.async-state",
    "execution.batch",
    "execution.batch-shuffle-mode",
    "execution.batch-state-backend",
    "execution.buffer-timeout",
    "execution.checkpointing.aligned-checkpoint-timeout",
    "execution.checkpointing.alignment-timeout",
    "execution.checkpointing.approximate-local-recovery",
    "execution.checkpointing.checkpoints-after-tasks-finish",
    "execution.checkpointing.cleaner",
    "execution.checkpointing.data-inline-threshold",
    "execution.checkpointing.during-recovery",
    "execution.checkpointing.file-merging",
    "execution.checkpointing.incremental",
    "execution.checkpointing.interval",
    "execution.checkpointing.interval-during-backlog",
    "execution.checkpointing.local-backup",
    "execution.checkpointing.max-concurrent-checkpoints",
    "execution.checkpointing.min-pause",
    "execution.checkpointing.mode",
    "execution.checkpointing.recover-without-channel-state",
    "execution.checkpointing.savepoint-dir",
    "execution.checkpointing.snapshot-compression",
    "execution.checkpointing.timeout",
    "execution.checkpointing.tolerable-failed-checkpoints",
    "execution.checkpointing.unaligned",
    "execution.checkpointing.write-buffer-size",
    "execution.job-listeners",
    "execution.job-status-changed-listeners",
    "execution.runtime-mode",
    "execution.shutdown-on-attached-exit",
    "execution.sort-keyed-partition",
    "execution.sort-partition",
    "execution.sorted-inputs",
    "execution.state-recovery.approximate-local-recovery",
    "execution.state-recovery.from-local",
    "execution.state-recovery.without-channel-state",
    "execution.target",
    "execution.type",
    "state.backend",
    "state.checkpoint.cleaner",
    "state.latency-track",
    "state.savepoints",
    "state.size-track",
    "state.storage",
    "state.ttl",
)

# The first words of all other options. Those of the cluster have no effect when a program sets them. Of the internal
# ones that is left out which names the job: under another id Penstock finds neither the job nor its checkpoints.
_WORDS: Final = """
    $internal.application $internal.deployment $internal.dispatcher $internal.execution $internal.yarn
    __table akka application-result-store async blob catalog cep classloader cleanup-strategy client
    cluster collect-sink compiler completed-application-store connector env events external-resource
    external-resources factory fields filter flink format fs heartbeat high-availability historyserver hive internal
    io jmx job job-event job-manager job-result-store jobmanager jobstore kubernetes library-cache-manager local
    lookup materialized-table metrics minicluster parallelism partition pekko pipeline plugin presto process python
    query queryable-state recovery resourcemanager rest restart-strategy s3 s3a savepoints scan scheduler-mode scope
    security shuffle shuffle-service-factory sink slot slotmanager slow-task-detector source sql-client sql-gateway
    statebackend table task taskmanager timerservice traces user web workflow-scheduler yarn zookeeper
"""

CHANGEABLE: Final = (*_FINE, *sorted(_WORDS.split()))
"""What a program may always change, as `execution.program-config.wildcards` takes it."""
WILDCARDS: Final = "execution.program-config.wildcards"


def wildcards(more: str = "") -> str:
    """The value of that option; `more`: what a user adds, with semicolons between."""
    return ";".join(dict.fromkeys((*CHANGEABLE, *_listed(more))))


def wildcards_problem(more: str) -> str | None:
    """What is wrong with what a user adds; None when nothing is."""
    wrong = [each for each in _listed(more) if each.partition(".")[0] in ("execution", "state", "dstl")]
    return f"{wrong[0]} would let a program change where its state lies; leave it out" if wrong else None


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(";") if each.strip()]


_REFUSED: Final = re.compile(r"Configuration (?P<key>[^\s:]+)(?P<value>\S*) not allowed", re.ASCII)


def explained(failure: str) -> str:
    """Flink's words for a program that it refuses because of its configuration, with what to do; others as they are."""
    keys = list(dict.fromkeys(found["key"] for found in _REFUSED.finditer(failure)))
    if not keys or "Not allowed configuration change" not in failure:
        return failure
    told = "; ".join(f"{key} {owned(key) or _UNKNOWN}" for key in keys)
    return f"the program changes what it may not change: {told}. Take that out of the program"


_UNKNOWN: Final = (
    "is an option that Penstock does not know; when the program needs it, write its first word into "
    "spec.flink.configuration[execution.program-config.wildcards]"
)
