"""Whose each of Flink's options is: Penstock's, both parties', or the user's.

What is in neither table is the user's: a test holds Flink's own option classes against them and against a third one, so
that no option, and no older name of one, is forgotten.
"""

import re
from typing import Final

_STORE: Final = "is made from the CheckpointStore; name one in spec.checkpoints.store"
_RUN: Final = "is set by Penstock for each run; leave it out"
_FOLLOWED: Final = "is always short enough for Penstock to follow a stop; leave it out"
_END: Final = "is always long enough for Penstock to read how a job ended; leave it out"
_LAYOUT: Final = "would move checkpoints to where nothing restores or deletes them; leave it out"
_PLAIN: Final = "would keep Penstock from Flink's REST API; leave it out (security.ssl.internal.* is yours)"
_GIVEN_UP: Final = "has no effect on Flink's application mode; write spec.startFrom.override: [StateWouldBeDropped]"
_OTHER: Final = "is of another operator and means nothing here; leave it out"

# Keys of flink.configuration that Penstock sets itself, with what to do instead. A key that ends with a dot stands
# for all keys that begin with it. Older names are listed, too: Flink still reads them.
OWNED: Final = {
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
    "execution.checkpointing.storage": "is always filesystem; leave it out",
    "state.checkpoint-storage": "is always filesystem; leave it out",
    "execution.checkpointing.create-subdir": _LAYOUT,
    "state.checkpoints.create-subdir": _LAYOUT,
    "execution.checkpointing.dir": _STORE,
    "execution.checkpointing.savepoint-dir": _STORE,
    "state.checkpoints.dir": _STORE,
    "state.backend.fs.checkpointdir": _STORE,
    "state.savepoints.dir": _STORE,
    "savepoints.state.backend.fs.dir": _STORE,
    "state.changelog.": "keeps state in a directory that Penstock neither keeps nor deletes; leave it out",
    "state.backend.changelog.": "keeps state in a directory that Penstock neither keeps nor deletes; leave it out",
    "dstl.": "keeps state in a directory that Penstock neither keeps nor deletes; leave it out",
    "execution.state-recovery.path": "is spec.startFrom",
    "execution.savepoint.path": "is spec.startFrom",
    "execution.state-recovery.ignore-unclaimed-state": _GIVEN_UP,
    "execution.savepoint.ignore-unclaimed-state": _GIVEN_UP,
    "execution.state-recovery.claim-mode": "is always NO_CLAIM; leave it out",
    "execution.savepoint-restore-mode": "is always NO_CLAIM; leave it out",
    "execution.program-config.enabled": "is set by Penstock; leave it out",
    "execution.allow-client-job-configurations": "is set by Penstock; leave it out",
    "execution.target": _RUN,
    "execution.attached": _RUN,
    "execution.shutdown-on-attached-exit": _RUN,
    "execution.shutdown-on-application-finish": _RUN,
    "execution.submit-failed-job-on-application-error": _RUN,
    "execution.terminate-application-on-any-job-terminated-exceptionally": _RUN,
    "high-availability": _RUN,
    "high-availability.": _RUN,
    "recovery.": _RUN,
    "kubernetes.": _RUN,
    "kubernetes.operator.": _OTHER,
    "job.autoscaler.": _OTHER,
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
    "rest.path": _PLAIN,
    "rest.url-prefix": _PLAIN,
    "web.address": _RUN,
    "web.port": _RUN,
    "jobmanager.web.address": _RUN,
    "jobmanager.web.port": _RUN,
    "security.ssl.enabled": _PLAIN,
    "security.ssl.rest.": _PLAIN,
    "web.submit.enable": "is always false; leave it out",
    "jobmanager.web.submit.enable": "is always false; leave it out",
    "web.cancel.enable": "is always true; leave it out",
    "web.refresh-interval": _FOLLOWED,
    "jobmanager.web.refresh-interval": _FOLLOWED,
    "rest.cache.execution-graph.timeout": _FOLLOWED,
    "rest.cache.checkpoint-statistics.timeout": _FOLLOWED,
    "jobstore.": _END,
    "completed-application-store.": _END,
    "web.checkpoints.history": "is always long enough for Penstock to see every checkpoint; leave it out",
    "jobmanager.web.checkpoints.history": "is always long enough for Penstock to see every checkpoint; leave it out",
    "$internal.": "is internal to Flink; leave it out",
    "internal.": "is internal to Flink; leave it out",
}

MERGED: Final = {
    "env.java.opts": "behind the options that Flink needs on this Java",
    "env.java.opts.all": "behind the options that Flink needs on this Java, and behind env.java.opts",
    "execution.program-config.wildcards": "behind the keys that a program may change anyway",
}
"""What a user writes stands beside what Penstock writes."""

_PREFIXES: Final = sorted((key for key in OWNED if key.endswith(".")), key=len, reverse=True)
# The S3 plugins hand on whatever begins with one of their prefixes, and take hyphens for dots.
_S3: Final = re.compile(
    r"(presto\.s3|s3|s3a|fs\.s3|fs\.s3a)\.(.*\.)?"
    r"(endpoint|access\.key|secret\.key|session\.token|path\.style\.access|credentials\.provider|iam\.role"
    r"|use\.instance\.credentials|entropy\.key|entropy\.length)(\..*)?"
)


def owned(key: str) -> str | None:
    """What to write in place of a key that is Penstock's; None when it is not."""
    advice = OWNED.get(key) or next((OWNED[prefix] for prefix in _PREFIXES if key.startswith(prefix)), None)
    return advice or (_STORE if _S3.fullmatch(key.replace("-", ".")) else None)
