"""Every option of Flink is in one of three columns: Penstock's own, merged, or the user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.api.ownership import MERGED, OWNED, owned

OPTIONS = Path(__file__).parents[2] / "data" / "flink-options"
"""What `tests/options.py` has read in the option classes of Flink: a line for each option, with its older names."""

# The user's: they change how fast, how large or with what words a job works, not where its state lies, what it starts
# from, or whether Penstock can follow it. A key that ends with a dot stands for all keys that begin with it.
USERS = {
    # Never read under this name: the ends of options of metric reporters, tables and calls outside.
    *("<parameter>", "async", "capacity", "enabled", "factory.class", "field-delimiter", "filter.", "fixed-delay"),
    *("interval", "max-attempts", "max-concurrent-operations", "num-files", "output-mode", "partition.", "path"),
    *("retry-predicate", "retry-strategy", "scope.", "shuffle", "sink.", "table", "timeout", "type", "write-mode"),
    # Older names, with nothing in front that tells them from others.
    *(
        "local.number-taskmanager",
        "query.",
        "security.keytab",
        "security.principal",
        "timerservice.",
        "materialized-table.",
    ),
    # Nothing of these is read by a job in application mode on pods that Penstock makes.
    *("client.", "historyserver.", "sql-gateway.", "yarn.", "zookeeper.", "queryable-state.", "web.upload.dir"),
    *(
        "env.hadoop.conf.dir",
        "env.hbase.conf.dir",
        "env.yarn.conf.dir",
        "env.ssh.opts",
        "env.pid.dir",
        "workflow-scheduler.",
    ),
    # Behind or beside Penstock's own `env.java.opts.all`.
    *("env.java.opts.client", "env.java.opts.historyserver", "env.java.opts.jobmanager", "env.java.opts.sql-gateway"),
    *(
        "env.java.opts.taskmanager",
        "env.java.default-opts.",
        "env.java.home",
        "env.log.",
        "env.stdout-err.redirect-to-file",
    ),
    # How a program is translated and run.
    *(
        "table.",
        "pipeline.",
        "restart-strategy",
        "restart-strategy.",
        "job-manager.",
        "cleanup-strategy",
        "cleanup-strategy.",
    ),
    *("execution.runtime-mode", "execution.buffer-timeout", "execution.buffer-timeout.", "execution.batch."),
    *("execution.batch-", "execution.sort-", "execution.sorted-inputs.", "execution.async-state."),
    *("execution.job-listeners", "execution.job-status-changed-listeners", "compiler.", "collect-sink.", "python."),
    # How checkpoints are made: what is written, and how fast, in the directory that is Penstock's.
    *("execution.checkpointing.mode", "execution.checkpointing.incremental", "execution.checkpointing.min-pause"),
    *("execution.checkpointing.max-concurrent-checkpoints", "execution.checkpointing.tolerable-failed-checkpoints"),
    *("execution.checkpointing.interval-during-backlog", "execution.checkpointing.unaligned"),
    *("execution.checkpointing.unaligned.", "execution.checkpointing.aligned-checkpoint-timeout"),
    *("execution.checkpointing.alignment-timeout", "execution.checkpointing.snapshot-compression"),
    *("execution.checkpointing.data-inline-threshold", "execution.checkpointing.write-buffer-size"),
    *("execution.checkpointing.file-merging.", "execution.checkpointing.cleaner.parallel-mode"),
    *(
        "execution.checkpointing.checkpoints-after-tasks-finish",
        "execution.checkpointing.checkpoints-after-tasks-finish.",
    ),
    *("execution.checkpointing.during-recovery.", "execution.checkpointing.local-backup."),
    *("execution.checkpointing.approximate-local-recovery", "execution.state-recovery.approximate-local-recovery"),
    *("execution.state-recovery.from-local", "execution.state-recovery.without-channel-state.checkpoint-id"),
    "execution.checkpointing.recover-without-channel-state.checkpoint-id",
    *("state.backend", "state.backend.", "state.storage.", "state.checkpoint.cleaner.parallel-mode", "state.ttl."),
    *("state.latency-track.", "state.size-track.", "statebackend.", "taskmanager.state."),
    # The processes: memory, threads, networks, logs, metrics.
    *(
        "jobmanager.",
        "taskmanager.",
        "cluster.",
        "process.",
        "task.",
        "pekko.",
        "akka.",
        "heartbeat.",
        "slot.",
        "slotmanager.",
    ),
    *(
        "resourcemanager.",
        "metrics.",
        "traces.",
        "events.",
        "blob.",
        "library-cache-manager.",
        "classloader.",
        "plugin.",
    ),
    *("io.", "jmx.", "external-resource.", "external-resources", "slow-task-detector.", "shuffle-service-factory."),
    *(
        "shuffle.",
        "scheduler-mode",
        "job-event.",
        "source.",
        "user.artifacts.",
        "parallelism.",
        "minicluster.",
        "flink.",
    ),
    *("rest.async.", "rest.await-leader-timeout", "rest.cache.checkpoint-statistics.size", "rest.client."),
    *(
        "rest.connection-timeout",
        "rest.flamegraph.",
        "rest.idleness-timeout",
        "rest.profiling.",
        "rest.retry.",
        "rest.server.",
    ),
    *("web.access-control-allow-origin", "web.adaptive-scheduler.", "web.exception-history-size", "web.history"),
    *("web.log.path", "web.rescale.enable", "web.timeout", "web.tmpdir"),
    # Encryption between the processes of a job, and who it is to others.
    *("security.ssl.internal.", "security.ssl.algorithms", "security.ssl.protocol", "security.ssl.provider"),
    *(
        "security.ssl.key-password",
        "security.ssl.keystore",
        "security.ssl.keystore-password",
        "security.ssl.truststore",
    ),
    *("security.ssl.truststore-password", "security.ssl.verify-hostname", "security.ssl.close-notify-flush-timeout"),
    *("security.ssl.handshake-timeout", "security.ssl.session-cache-size", "security.ssl.session-timeout"),
    *("security.kerberos.", "security.delegation.", "security.context.", "security.module."),
    # Speed and encryption of the store's client; what says which store it is comes from the CheckpointStore.
    *("fs.allowed-fallback-filesystems", "fs.default-scheme", "fs.output.", "fs.overwrite-files"),
    *("s3.assume-role.", "s3.async.", "s3.bulk-copy.", "s3.checksum-validation.", "s3.chunked-encoding.", "s3.client."),
    *(
        "s3.close.",
        "s3.connection.",
        "s3.read.",
        "s3.region",
        "s3.retry.",
        "s3.s5cmd.",
        "s3.socket.",
        "s3.sse.",
        "s3.upload.",
    ),
}


def options() -> list[list[str]]:
    """Each option of each version with its older names."""
    return [line.split() for file in sorted(OPTIONS.glob("*.txt")) for line in file.read_text().splitlines()]


def is_users(key: str) -> bool:
    return key in USERS or any(key.startswith(each) for each in USERS if each.endswith((".", "-")))


def column(key: str) -> str:
    """The column of the longest entry that a key is, or begins with."""
    if key in MERGED:
        return "merged"
    if owned(key) is not None:
        return "owned"
    return "the user's" if is_users(key) else ""


def test_there_are_options() -> None:
    assert len(options()) > 500


@pytest.mark.parametrize("option", options(), ids=lambda each: each[0])
def test_every_option_has_its_column_and_its_older_names_have_the_same(option: list[str]) -> None:
    assert [column(key) for key in option] == [column(option[0])] * len(option)
    assert column(option[0]) != ""


def test_nothing_is_both_owned_and_merged() -> None:
    assert [key for key in MERGED if owned(key) is not None] == []


def test_every_owned_key_says_what_to_do() -> None:
    for advice in OWNED.values():
        assert "spec." in advice or "leave it out" in advice or "write" in advice


@pytest.mark.parametrize(
    "key",
    [
        "fs.s3a.endpoint",
        "s3a.endpoint",
        "presto.s3.endpoint",
        "presto.s3.access-key",
        "fs.s3a.secret.key",
        "fs.s3a.bucket.state.endpoint",
        "fs.s3a.path.style.access",
        "fs.s3a.aws.credentials.provider",
        "s3.entropy.key",
        "s3.entropy.length",
        "s3.credentials-provider",
        "fs.s3a.session.token",
    ],
)
def test_the_store_has_many_spellings(key: str) -> None:
    assert owned(key) is not None


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("kubernetes.operator.savepoint.history.max.count", "another operator"),
        ("job.autoscaler.enabled", "another operator"),
        ("kubernetes.cluster-id", "set by Penstock"),
        ("execution.checkpointing.create-subdir", "nothing restores"),
        ("security.ssl.rest.enabled", "REST API"),
        ("recovery.mode", "set by Penstock"),
    ],
)
def test_what_is_refused_is_refused_with_its_reason(key: str, words: str) -> None:
    assert words in (owned(key) or "")


@pytest.mark.parametrize(
    "key", ["s3.connection.maximum", "fs.s3a.connection.maximum", "security.ssl.internal.enabled", "my.key"]
)
def test_other_keys_are_the_users(key: str) -> None:
    assert owned(key) is None
