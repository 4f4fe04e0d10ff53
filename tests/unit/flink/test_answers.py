"""Flink's answers, as a real Flink 2.3.0 gave them."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.flink.answers import (
    Completed,
    FlinkJob,
    InProgress,
    TriggerFailed,
    innermost,
    parse_job,
    parse_trigger,
)

RUN = "00000000000000000000000000000001"


def vertex(status: str = "RUNNING", running: int = 2) -> dict[str, Any]:
    tasks = dict.fromkeys(("CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING", "FINISHED", "CANCELED", "FAILED"), 0)
    return {
        "id": "cbc357ccb763df2852fee8c4fc7d55f2",
        "name": "Source: flights[1]",
        "maxParallelism": 128,
        "parallelism": 2,
        "status": status,
        "start-time": 1769857200000,
        "end-time": -1,
        "tasks": tasks | {"RUNNING": running},
        "metrics": {},
    }


def job(state: str = "RUNNING", *vertices: dict[str, Any]) -> dict[str, Any]:
    return {
        "jid": RUN,
        "name": "insert-into_default_catalog",
        "isStoppable": False,
        "state": state,
        "job-type": "STREAMING",
        "start-time": 1769857200000,
        "end-time": -1,
        "duration": 5000,
        "maxParallelism": -1,
        "now": 1769857205000,
        "vertices": list(vertices),
        "status-counts": {"RUNNING": len(vertices)},
    }


CHECKPOINT: dict[str, Any] = {
    "className": "completed",
    "id": 68,
    "status": "COMPLETED",
    "is_savepoint": False,
    "savepointFormat": None,
    "trigger_timestamp": 1769857200100,
    "latest_ack_timestamp": 1769857200160,
    "state_size": 41002,
    "end_to_end_duration": 60,
    "num_subtasks": 6,
    "num_acknowledged_subtasks": 6,
    "checkpoint_type": "CHECKPOINT",
    "checkpointed_size": 41002,
    "external_path": f"s3://b/x/checkpoints/{RUN}/chk-68",
    "discarded": True,
}
SAVEPOINT = CHECKPOINT | {
    "id": 69,
    "is_savepoint": True,
    "savepointFormat": "NATIVE",
    "checkpoint_type": "SYNC_SAVEPOINT",
    "latest_ack_timestamp": 1769857203160,
    "external_path": "s3://b/x/savepoints/u/savepoint-000000-a906caaa2a0d",
    "discarded": False,
}
RESTORED = {"id": 4, "restore_timestamp": 1769857100000, "is_savepoint": True, "external_path": "s3://b/savepoint-1"}


def checkpoints(*history: dict[str, Any], **latest: Any) -> dict[str, Any]:
    nothing = {"completed": None, "savepoint": None, "failed": None, "restored": None}
    counts = {"restored": 0, "total": 1, "in_progress": 0, "completed": 1, "failed": 1}
    return {"counts": counts, "latest": nothing | latest, "history": list(history)}


def test_a_job_that_runs():
    found = parse_job(job("RUNNING", vertex(), vertex()), checkpoints(CHECKPOINT, completed=CHECKPOINT))
    assert (found.state, found.all_running, found.terminal, found.restored) == ("RUNNING", True, False, None)
    assert found.completed is not None
    assert (found.completed.id, found.completed.duration_millis, found.completed.size_bytes) == (68, 60, 41002)
    assert found.completed.discarded
    assert [each.id for each in found.history] == [68]


ALL_RUNNING = {
    "every vertex runs": ([vertex(), vertex()], True),
    "one has read its source": ([vertex("FINISHED", 0), vertex()], True),
    "one is deployed": ([vertex("DEPLOYING", 1), vertex()], False),
    "one initializes": ([vertex("INITIALIZING", 1), vertex()], False),
    "one has failed": ([vertex("FAILED", 1), vertex()], False),
    "there is none yet": ([], False),
}


@pytest.mark.parametrize(("vertices", "running"), ALL_RUNNING.values(), ids=ALL_RUNNING)
def test_when_all_tasks_run(vertices, running):
    assert parse_job(job("RUNNING", *vertices), checkpoints()).all_running is running


def test_a_task_that_reads_its_state():
    assert parse_job(job("RUNNING", vertex("INITIALIZING", 1), vertex()), checkpoints()).restoring
    assert not parse_job(job("RUNNING", vertex("DEPLOYING", 1), vertex()), checkpoints()).restoring


def test_after_a_stop_the_newest_is_the_savepoint():
    found = parse_job(job("FINISHED"), checkpoints(completed=CHECKPOINT, savepoint=SAVEPOINT))
    assert found.terminal
    assert found.completed is not None
    assert (found.completed.id, found.completed.savepoint) == (69, True)
    assert found.completed.path.endswith("a906caaa2a0d")


def test_a_checkpoint_after_a_savepoint_is_newer():
    later = CHECKPOINT | {"id": 70, "latest_ack_timestamp": 1769857209000}
    found = parse_job(job(), checkpoints(completed=later, savepoint=SAVEPOINT))
    assert found.completed is not None
    assert found.completed.id == 70


def test_what_was_restored():
    found = parse_job(job(), checkpoints(restored=RESTORED))
    assert found.restored is not None
    assert (found.restored.id, found.restored.path, found.restored.savepoint) == (4, "s3://b/savepoint-1", True)


def test_a_program_that_failed_before_there_was_a_job_has_no_checkpoints():
    failed = job("FAILED") | {"name": "(application driver)", "job-type": None}
    found = parse_job(failed, {})
    assert found == FlinkJob("FAILED", planned=False, began_millis=found.began_millis, now_millis=found.now_millis)


def test_when_it_was_begun_and_its_tasks_restarted():
    found = parse_job(job() | {"now": 12, "start-time": 5, "timestamps": {"RESTARTING": 9}}, {})
    assert (found.began_millis, found.restarted_millis, found.now_millis) == (5, 9, 12)
    assert parse_job({"state": "RUNNING"}, {}).began_millis == 0


@pytest.mark.parametrize("state", ["FINISHED", "CANCELED", "FAILED"])
def test_states_that_are_an_end(state):
    assert FlinkJob(state).terminal


@pytest.mark.parametrize(
    "state",
    ["INITIALIZING", "CREATED", "RUNNING", "FAILING", "CANCELLING", "RESTARTING", "SUSPENDED", "RECONCILING", ""],
)
def test_states_that_are_none(state):
    assert not FlinkJob(state).terminal


def test_an_entry_that_is_still_in_progress():
    pending = CHECKPOINT | {"status": "IN_PROGRESS", "external_path": None, "state_size": None}
    (entry,) = parse_job(job(), checkpoints(pending)).history
    assert (entry.status, entry.path, entry.size_bytes) == ("IN_PROGRESS", "", 0)


# ---------------------------------------------------------------- triggers

NOT_RUNNING = (
    "java.util.concurrent.CompletionException: java.util.concurrent.CompletionException: org.apache.flink.runtime."
    "checkpoint.CheckpointException: Checkpoint triggering task Source: a (1/2) of job 1 is not being executed at the "
    "moment. Aborting checkpoint.\n\tat x.y(Z.java:1)\nCaused by: org.apache.flink.runtime.checkpoint."
    "CheckpointException: Checkpoint triggering task is not being executed. Failure reason: Not all required tasks are "
    "currently running.\n\t... 12 more"
)
UNKNOWN_JOB = (
    "java.util.concurrent.CompletionException: org.apache.flink.runtime.messages.FlinkJobNotFoundException: "
    f"Could not find Flink job ({RUN})\n\tat java.base/java.util.concurrent.CompletableFuture.x(Unknown Source)\n"
    f"Caused by: org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job ({RUN})\n\t... 4"
)


def failed(trace: str) -> dict[str, Any]:
    cause = {"class": "java.util.concurrent.CompletionException", "stack-trace": trace, "serialized-throwable": "rO0"}
    return {"status": {"id": "COMPLETED"}, "operation": {"failure-cause": cause}}


TRIGGERS = {
    "in progress": ({"status": {"id": "IN_PROGRESS"}, "operation": None}, InProgress()),
    "complete": (
        {"status": {"id": "COMPLETED"}, "operation": {"location": "s3://b/savepoint-000000-a906caaa2a0d"}},
        Completed("s3://b/savepoint-000000-a906caaa2a0d"),
    ),
    "failed, which also says COMPLETED": (
        failed(UNKNOWN_JOB),
        TriggerFailed(f"FlinkJobNotFoundException: Could not find Flink job ({RUN})"),
    ),
    "not all tasks run": (
        failed(NOT_RUNNING),
        TriggerFailed(
            "CheckpointException: Checkpoint triggering task is not being executed. Failure reason: Not all required "
            "tasks are currently running."
        ),
    ),
    "a cause without a trace": (
        {"status": {"id": "COMPLETED"}, "operation": {"failure-cause": {"class": "a.B"}}},
        TriggerFailed("a.B"),
    ),
    "nothing that we know": ({}, InProgress()),
}


@pytest.mark.parametrize(("answer", "found"), TRIGGERS.values(), ids=TRIGGERS)
def test_triggers(answer, found):
    assert parse_trigger(answer) == found


CAUSES = {
    "": "unknown",
    "java.lang.IllegalStateException: no": "IllegalStateException: no",
    "a.b.Outer: x\n\tat y\nCaused by: c.d.MiddleException: y\nCaused by: e.f.InnerError: z\n\t... 3": "InnerError: z",
    "plain words": "plain words",
    "plain words\nand more": "plain words",
    "a.B: x\n\tat a.B.c(D.java:1)\nCaused by: a.b.ValidationException: Unsupported options found for 'datagen'.\n\n"
    "Unsupported options:\n\nrows\n\nSupported options:\n\nconnector\n\tat a.B.c(D.java:1)\n\t... 5 more": (
        "ValidationException: Unsupported options found for 'datagen'. Unsupported options: rows Supported options: "
        "connector"
    ),
    "a.SqlParserException: SQL parse failed. Incorrect syntax near the keyword 'LEFT' at line 7, column 1.\n"
    'Was expecting one of:\n    "ARRAY" ...\n\n\tat a.B.c(D.java:1)': (
        "SqlParserException: SQL parse failed. Incorrect syntax near the keyword 'LEFT' at line 7, column 1."
    ),
    "a.Outer: x\n - Configuration a:b no.\n\tat a.B.c(D.java:1)": "a.Outer: x - Configuration a:b no.",
    "a.B$InnerException: no": "InnerException: no",
}


@pytest.mark.parametrize(("trace", "cause"), CAUSES.items())
def test_the_innermost_cause_in_one_line(trace, cause):
    assert innermost(trace) == cause


def test_a_cause_is_cut():
    assert len(innermost("x" * 10_000)) == 500
