"""What the API server cannot say."""

from typing import Any

import pytest

from penstock.api.replay import NAMES
from penstock.api.streamjob import StreamJob
from penstock.api.validation import validate_stream_job


def problems_of(**spec: Any) -> list[str]:
    whole = {"flink": {"version": "2.3"}, "job": {"sql": {"script": "X;"}}, "checkpoints": {"store": "main"}} | spec
    return [str(each) for each in validate_stream_job(StreamJob.model_validate({"metadata": {}, "spec": whole}))]


def sql(script: str) -> list[str]:
    return problems_of(job={"sql": {"script": script}})


def test_a_good_job_has_no_problems():
    assert problems_of(flink={"version": "2.3", "configuration": {"state.backend.type": "rocksdb"}}) == []


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("parallelism.default", "parallelism.default is spec.parallelism"),
        ("execution.checkpointing.interval", "execution.checkpointing.interval is spec.checkpoints.interval"),
        ("execution.savepoint.path", "execution.savepoint.path is spec.startFrom"),
        ("high-availability", "high-availability is set by Penstock for each run; leave it out"),
        ("high-availability.storageDir", "high-availability.storageDir is set by Penstock for each run; leave it out"),
        ("kubernetes.cluster-id", "kubernetes.cluster-id is set by Penstock for each run; leave it out"),
        ("s3.secret-key", "s3.secret-key is made from the CheckpointStore; name one in spec.checkpoints.store"),
    ],
)
def test_a_configuration_key_of_penstock_is_refused_with_the_field_to_write(key, advice):
    configuration = {"pipeline.name": "x", key: "1"}
    assert problems_of(flink={"version": "2.3", "configuration": configuration}) == [
        f"spec.flink.configuration[{key}]: {advice}"
    ]


@pytest.mark.parametrize("key", ["execution.state-recovery.from-local", "s3.upload.max.concurrent.uploads"])
def test_a_key_that_only_looks_like_one_of_penstock_is_the_users(key):
    assert problems_of(flink={"version": "2.3", "configuration": {key: "true"}}) == []


@pytest.mark.parametrize(
    "more",
    ["execution", "execution.checkpointing", "my;execution.checkpointing.dir", "state", "state.changelog", "dstl"],
)
def test_nobody_lets_a_program_change_where_its_state_lies(more):
    (problem,) = problems_of(flink={"version": "2.3", "configuration": {"execution.program-config.wildcards": more}})
    assert "would let a program change where its state lies" in problem


def test_a_programs_own_options_may_be_added():
    wildcards = {"execution.program-config.wildcards": "my; state-of-mine"}
    assert problems_of(flink={"version": "2.3", "configuration": wildcards}) == []


def test_a_reserved_substitution_is_refused_with_its_line_and_how_to_escape_it():
    (problem,) = sql("SELECT 1;\nSELECT '${penstock.start}';")
    before, _, after = problem.partition(
        "${penstock.source.startup-mode}, ${penstock.source.startup-timestamp-millis}, "
    )
    assert before == (
        "spec.job.sql.script: line 2: ${penstock.start} is reserved for Penstock, and means nothing; write one of "
    )
    assert after.endswith("${penstock.replay.output-to-millis}, or $${penstock.start} to mean the text itself")


@pytest.mark.parametrize(
    "script", ["$${penstock.x}", "$$$${penstock.x}", "${other}", "penstock.x", "${secret:db/pass.word}"]
)
def test_an_escaped_or_other_text_is_left_alone(script):
    assert sql(script) == []


@pytest.mark.parametrize("script", ["$$${penstock.x}", "'${penstock.", "a${penstock.x}b"])
def test_a_reserved_substitution_is_found_everywhere(script):
    assert len(sql(script)) == 1


@pytest.mark.parametrize("name", NAMES)
def test_what_penstock_knows_may_stand_anywhere(name):
    assert sql(f"a '${{{name}}}' $$${{{name}}}") == []
    assert problems_of(job={"jar": {"uri": "local:///a.jar", "args": [f"--x=${{{name}}}"]}}) == []
    assert len(sql(f"${{{name}")) == 1
    assert len(sql(f"${{{name}x}}")) == 1


def test_a_replay_that_keeps_state_is_refused_with_what_to_write():
    (problem,) = problems_of(startFrom={"replay": {"from": "24h", "state": "KeepNonSource"}})
    assert problem.startswith(
        "spec.startFrom.replay.state: KeepNonSource is not supported: what is read again would be"
    )
    assert "applied twice" in problem
    assert "write Discard, or leave it out" in problem
    assert problems_of(startFrom={"replay": {"from": "24h", "state": "Discard"}}) == []


def test_arguments_are_checked_too():
    job = {"jar": {"uri": "local:///a.jar", "args": ["a", "${penstock.x}"]}}
    assert problems_of(job=job)[0].startswith("spec.job.jar.args[1]: line 1: ${penstock.x} is reserved")


@pytest.mark.parametrize(
    "script", ["${secret:db}", "${secret:}", "${secret:a/b", "${secret:UP/key}", "${secret:a/b/c}"]
)
def test_a_secret_that_cannot_exist_is_refused(script):
    (problem,) = sql(script)
    assert "names no key of a Secret; write ${secret:name/key}, or $${secret:" in problem


def test_a_huge_script_is_searched_quickly():
    assert sql("$" * 262_144) == []
    assert len(sql("${secret:" * 1_000)) > 0


def test_requests_above_limits_are_refused():
    resources = {"requests": {"cpu": 2, "memory": "2Gi"}, "limits": {"cpu": "1500m", "memory": "1Gi"}}
    cpu, memory = problems_of(jobManager={"resources": resources})
    assert cpu == (
        "spec.jobManager.resources.requests.cpu: 2 is more than spec.jobManager.resources.limits.cpu, 1500m; "
        "write at most 1500m"
    )
    assert memory == (
        "spec.jobManager.resources.requests.memory: 2Gi is more than spec.jobManager.resources.limits.memory, 1Gi; "
        "write at most 1Gi"
    )


@pytest.mark.parametrize("side", ["requests", "limits"])
def test_memory_that_was_meant_in_another_unit_is_refused(side):
    assert problems_of(taskManager={"resources": {side: {"memory": 1024}}}) == [
        f"spec.taskManager.resources.{side}.memory: 1024 is less than Flink needs to start; write for example 1Gi"
    ]


def test_a_bad_schedule_is_said_but_hinders_no_start():
    spec = {
        "flink": {"version": "2.3"},
        "job": {"sql": {"script": "X;"}},
        "checkpoints": {"store": "main", "schedule": {"cron": "0 25 * * *", "timeZone": "Mars/Olympus"}},
    }
    found = validate_stream_job(StreamJob.model_validate({"metadata": {}, "spec": spec}))
    assert [(each.path, each.hinders) for each in found] == [
        ("spec.checkpoints.schedule.cron", False),
        ("spec.checkpoints.schedule.timeZone", False),
    ]
    assert str(found[0]) == (
        "spec.checkpoints.schedule.cron: the hour of 0 25 * * * cannot be read; "
        "write minute, hour, day of month, month and day of week, for example 0 3 * * *"
    )


def test_no_cpu_at_all_is_refused():
    assert problems_of(taskManager={"resources": {"limits": {"cpu": "0"}}}) == [
        "spec.taskManager.resources.limits.cpu: 0 leaves no time to run; write for example 500m, or leave it out"
    ]
