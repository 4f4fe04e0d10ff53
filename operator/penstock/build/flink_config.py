"""Flink's configuration of a run. Keys that Penstock owns are refused in `spec.flink.configuration`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from penstock import names
from penstock.api.duration import parse_duration
from penstock.api.program_config import WILDCARDS, wildcards
from penstock.build.context import RunContext
from penstock.build.program import argument_secrets, script_secrets

REST_PORT = 8081
RPC_PORT = 6123
BLOB_PORT = 6124
HISTORY = 100
"""Entries of Flink's checkpoint history: a fast interval must not push one out between two polls."""

_OPENS = (
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/sun.nio.ch",
    "java.base/java.lang.reflect",
    "java.base/java.text",
    "java.base/java.time",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/java.util.concurrent.locks",
)
_EXPORTS = (
    "java.base/sun.net.util",
    "java.rmi/sun.rmi.registry",
    "jdk.compiler/com.sun.tools.javac.api",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.compiler/com.sun.tools.javac.parser",
    "jdk.compiler/com.sun.tools.javac.tree",
    "jdk.compiler/com.sun.tools.javac.util",
    "java.security.jgss/sun.security.krb5",
)
JAVA_OPTIONS = " ".join(
    [f"--add-exports={module}=ALL-UNNAMED" for module in _EXPORTS]
    + [f"--add-opens={module}=ALL-UNNAMED" for module in (*_OPENS, "java.base/java.lang")]
)
"""The reflective access that Flink's own config.yaml opens; a configuration without it fails."""

LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %-60c %x - %m%n
logger.pekko.name = org.apache.pekko
logger.pekko.level = INFO
logger.kafka.name = org.apache.kafka
logger.kafka.level = WARN
logger.netty.name = org.jboss.netty.channel.DefaultChannelPipeline
logger.netty.level = OFF
"""
_TO_STANDARD_ERROR = """\
appender.console.target = SYSTEM_ERR
"""
"""The JobManager's standard output is thrown away, because Flink prints each statement there (see `program`)."""
_WITHOUT_ARGUMENTS = """\
logger.arguments.name = org.apache.flink.runtime.entrypoint.ClusterEntrypoint
logger.arguments.level = INFO
logger.arguments.filter.indented.type = RegexFilter
logger.arguments.filter.indented.regex = (?s) {4}.*
logger.arguments.filter.indented.onMatch = DENY
logger.arguments.filter.indented.onMismatch = NEUTRAL
"""
"""Flink logs its program's arguments, each behind four spaces; it hides only what looks like the name of a secret."""

# What YAML does not take as it is, in a quoted string too, and what its readers take for ends of lines or leave out.
_NOT_PRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")

USER_DEFAULTS: Mapping[str, str] = {
    "state.backend.type": "hashmap",
    # One hiccup of the store is no reason to restart a job.
    "execution.checkpointing.tolerable-failed-checkpoints": "3",
    # Only fetched when somebody asks; a recovery is followed with figures that are not older than that.
    "metrics.fetcher.update-interval": "1000",
    "restart-strategy.type": "exponential-delay",
    "restart-strategy.exponential-delay.initial-backoff": "1 s",
    "restart-strategy.exponential-delay.max-backoff": "1 min",
}
"""What a user may change in `spec.flink.configuration`."""


def configuration(context: RunContext) -> dict[str, str]:
    """All keys of the run's config.yaml; what Penstock owns wins over what the user wrote."""
    user = dict(context.spec.flink.configuration)
    # The one without `all` is an older name: the newer one alone would be heard.
    java = " ".join(filter(None, (JAVA_OPTIONS, user.pop("env.java.opts", ""), user.pop("env.java.opts.all", ""))))
    return dict(USER_DEFAULTS) | user | owned(context) | _guard(context) | {"env.java.opts.all": java}


def _guard(context: RunContext) -> dict[str, str]:
    """Have Flink refuse a program that changes where its state lies, whether it stays, or what is restored."""
    if not context.guarded:
        return {}
    more = context.spec.flink.configuration.get(WILDCARDS, "")
    return {"execution.program-config.enabled": "false", WILDCARDS: wildcards(more)}


def owned(context: RunContext) -> dict[str, str]:
    """The keys that Penstock owns."""
    spec, meta, place = context.spec, context.meta, context.place
    job = (meta.namespace, meta.name, meta.uid)
    keys = {
        "jobmanager.rpc.port": str(RPC_PORT),
        "blob.server.port": str(BLOB_PORT),
        "rest.port": str(REST_PORT),
        "rest.bind-address": "0.0.0.0",  # noqa: S104 - the pod's own network
        "jobmanager.bind-host": "0.0.0.0",  # noqa: S104
        "taskmanager.bind-host": "0.0.0.0",  # noqa: S104
        "jobmanager.memory.process.size": f"{spec.job_manager.memory_bytes}b",
        "taskmanager.memory.process.size": f"{spec.task_manager.memory_bytes}b",
        "taskmanager.numberOfTaskSlots": str(spec.task_manager.slots),
        "parallelism.default": str(spec.parallelism),
        "kubernetes.cluster-id": names.cluster_id(meta.name, context.run),
        "kubernetes.namespace": meta.namespace,
        "kubernetes.service-account": context.service_account,
        "high-availability.type": "kubernetes",
        "high-availability.storageDir": place.uri(place.high_availability(*job, context.run)).rstrip("/"),
        # Older names of these are not heard beside them, not even in a program.
        "execution.checkpointing.storage": "filesystem",
        "execution.checkpointing.create-subdir": "true",
        "state.changelog.enabled": "false",
        "execution.checkpointing.dir": place.uri(place.checkpoints(*job)).rstrip("/"),
        "execution.checkpointing.interval": f"{parse_duration(spec.checkpoints.interval)} ms",
        "execution.checkpointing.timeout": f"{parse_duration(spec.checkpoints.timeout)} ms",
        "execution.checkpointing.num-retained": str(spec.checkpoints.retention.num_retained),
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.state-recovery.claim-mode": "NO_CLAIM",
        # The JobManager stays up after the end, so that the end can be read; the operator takes it away.
        "execution.shutdown-on-application-finish": "false",
        "execution.submit-failed-job-on-application-error": "true",
        # Without this a JobManager that is made again after the end would run the job again from nothing.
        "job-result-store.delete-on-commit": "false",
        "application-result-store.delete-on-commit": "false",
        "web.submit.enable": "false",
        "web.cancel.enable": "true",
        "web.checkpoints.history": str(HISTORY),
        # Flink answers from caches of 3 s: too old to follow a stop with.
        "web.refresh-interval": "1000",
        "rest.cache.checkpoint-statistics.timeout": "1 s",
        # How a job ended must still be there when the operator was away over a week-end.
        "jobstore.expiration-time": "604800",
        "completed-application-store.expiration-time": "7 d",
        "s3.path-style-access": "true" if context.store.spec.path_style else "false",
        "s3.path.style.access": "true" if context.store.spec.path_style else "false",
    }
    if context.store.spec.endpoint:
        keys["s3.endpoint"] = context.store.spec.endpoint
    if context.restore_from:
        keys["execution.state-recovery.path"] = context.restore_from
    return keys


def render(keys: Mapping[str, str]) -> str:
    """The text of config.yaml: flat keys, every value a quoted string."""
    return "".join(f"{_quoted(key)}: {_quoted(value)}\n" for key, value in sorted(keys.items()))


def _quoted(text: str) -> str:
    """A JSON string is a YAML string, but for the pairs of escapes that JSON writes beyond the first plane."""
    return _NOT_PRINTABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", json.dumps(text, ensure_ascii=False))


def logging(context: RunContext) -> str:
    """The text of log4j-console.properties. What Flink would print of a job's secrets is left out."""
    return (
        LOGGING
        + (_TO_STANDARD_ERROR if script_secrets(context) else "")
        + (_WITHOUT_ARGUMENTS if argument_secrets(context) else "")
    )
