"""`penstock adopt` and `penstock rebuild`, with a cluster and a store of dicts."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
import yaml

from penstock.api.base import dump
from penstock.errors import Refused
from penstock.flink.metadata import MAGIC
from tests.unit.builders import HOME, JOB, NAMESPACE, RUN, checkpoint, job, live, savepoint, store_manifest, uid
from tests.unit.cli.conftest import Desk
from tests.unit.stage import CLUSTER, MARK, OTHER_CLUSTER

WHERE = "s3://checkpoints/team/penstock.json"


@pytest.fixture
def lost(desk: Desk) -> Desk:
    """A new cluster that has nothing but the store of the lost one, with two savepoints in it."""
    for kind in ("StreamJob", "Checkpoint"):
        for key in [each for each in desk.kube.objects if each[0] == kind]:
            del desk.kube.objects[key]
    put(desk, 1, "before", description="before the move")
    put(desk, 2, "counter-stop-1", source="Stop")
    return desk


def put(desk: Desk, number: int, name: str, home: str = HOME, **change: Any) -> None:
    target = f"{home}savepoints/{uid(number)}/"
    told = {"namespace": NAMESPACE, "job": JOB, "checkpoint": name, "uid": uid(number), "source": "Manual", "run": RUN}
    desk.lake.keys[f"{target}penstock.json"] = told | change
    desk.lake.keys[f"{target}savepoint-aaaaaa-{number:012x}/_metadata"] = struct.pack(">Iiq", MAGIC, 6, number)


def made(desk: Desk) -> dict[str, Any]:
    return desk.kube.of("Checkpoint")


# ---------------------------------------------------------------- adopt


def test_it_is_first_said_whose_the_store_is(desk: Desk) -> None:
    desk.lake.keys[MARK] = {"cluster": OTHER_CLUSTER, "store": "old"}
    for more in ([], ["--from", OTHER_CLUSTER]):
        done = desk.run("adopt", "main", *more)
        assert (done.exit_code, desk.changed) == (0, [])
        assert done.stdout.splitlines() == [
            f"{WHERE} names cluster {OTHER_CLUSTER} (CheckpointStore old); this one is {CLUSTER}.",
            f"When that cluster is gone for good: penstock adopt main --from {OTHER_CLUSTER} --yes",
        ]


def test_the_mark_is_written_anew(desk: Desk) -> None:
    desk.lake.keys[MARK] = {"cluster": OTHER_CLUSTER, "store": "old"}
    done = desk.run("adopt", "main", "--from", OTHER_CLUSTER, "--yes")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"{WHERE} names this cluster, {CLUSTER}, now; it was that of {OTHER_CLUSTER}\n"
    adopted = {"from": OTHER_CLUSTER, "time": "2026-02-01T12:00:00Z"}
    assert desk.lake.keys[MARK] == {"cluster": CLUSTER, "store": "main", "adopted": adopted}


def test_another_cluster_than_the_one_that_was_named_is_refused(desk: Desk) -> None:
    desk.lake.keys[MARK] = {"cluster": OTHER_CLUSTER}
    done = desk.run("adopt", "main", "--from", "7777", "--yes")
    assert (done.exit_code, desk.changed) == (1, [])
    assert done.stderr == f"penstock: {WHERE} names cluster {OTHER_CLUSTER}, not 7777: nothing was written\n"


@pytest.mark.parametrize(("mark", "sentence"), [({"cluster": CLUSTER}, "already"), (None, "nothing to adopt")])
def test_where_there_is_nothing_to_do_nothing_is_done(desk: Desk, mark: Any, sentence: str) -> None:
    desk.lake.keys = {MARK: mark} if mark else {}
    done = desk.run("adopt", "main", "--from", OTHER_CLUSTER, "--yes")
    assert (done.exit_code, desk.changed) == (0, [])
    assert sentence in done.stdout


def test_what_is_no_mark_is_not_adopted(desk: Desk) -> None:
    desk.lake.keys[MARK] = b"somebody else's"
    done = desk.run("adopt", "main", "--from", OTHER_CLUSTER, "--yes")
    assert (done.exit_code, desk.changed) == (1, [])
    assert "is not Penstock's mark" in done.stderr


def test_yes_without_the_lost_cluster_is_2(desk: Desk) -> None:
    done = desk.run("adopt", "main", "--yes")
    assert (done.exit_code, desk.kube.calls) == (2, [])
    assert "--yes needs --from UID" in done.stderr


# ---------------------------------------------------------------- rebuild


def test_the_table_says_what_would_be_made(lost: Desk) -> None:
    done = lost.run("rebuild", NAMESPACE)
    assert (done.exit_code, done.stderr, lost.changed) == (0, "", [])
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["NAME", "JOB", "SOURCE", "WRITTEN", "DESCRIPTION", "LOCATION", "RESULT"]
    assert [line.split()[:3] for line in lines[1:3]] == [["counter-stop-1", JOB, "Stop"], ["before", JOB, "Manual"]]
    assert lines[2].endswith(f"2026-01-31T11:00:00Z   before the move   {savepoint(1)}   would be made")
    assert lines[4:] == [
        "There is no StreamJob flights: until it is made their Checkpoints wait (JobNotFound).",
        "",
        "Nothing was made; with --yes it is done.",
    ]


def test_they_are_made(lost: Desk) -> None:
    done = lost.run("rebuild", NAMESPACE, "--yes")
    assert (done.exit_code, done.stderr) == (0, "")
    assert set(made(lost)) == {"before", "counter-stop-1"}
    manual, stop = made(lost)["before"], made(lost)["counter-stop-1"]
    assert manual["metadata"]["annotations"] == {"penstock.dev/rebuilt-from": savepoint(1)}
    assert (manual["spec"]["description"], manual["spec"]["pinned"]) == ("before the move", True)
    assert stop["spec"]["origin"] == {"run": RUN}
    assert [verb for verb, _ in lost.lake.calls if verb in ("write", "delete")] == []


def test_called_again_it_changes_nothing(lost: Desk) -> None:
    lost.run("rebuild", NAMESPACE, "--yes")
    before = lost.changed
    done = lost.run("rebuild", NAMESPACE, "--yes")
    assert (done.exit_code, lost.changed) == (0, before)
    assert done.stdout.count("no: a Checkpoint of this name is there") == 2


def test_they_need_not_be_pinned(lost: Desk) -> None:
    lost.run("rebuild", NAMESPACE, "--yes", "--no-pin")
    assert {each["spec"]["pinned"] for each in made(lost).values()} == {False}


def test_a_savepoint_that_has_a_checkpoint_is_left_to_it(lost: Desk) -> None:
    lost.put(dump(checkpoint("renamed", 1, "Present")), dump(job(live())))
    done = lost.run("rebuild", NAMESPACE, "--yes")
    assert set(made(lost)) == {"renamed", "counter-stop-1"}
    assert "no: Checkpoint renamed has it" in done.stdout
    assert "There is no StreamJob" not in done.stdout


def test_only_those_of_one_job(lost: Desk) -> None:
    other = HOME.replace("/flights-", "/planes-")
    put(lost, 3, "of-planes", other, job="planes")
    lost.run("rebuild", NAMESPACE, "--job", "planes", "--yes")
    assert set(made(lost)) == {"of-planes"}
    done = lost.run("rebuild", NAMESPACE, "--job", "none")
    assert done.stdout == f"there is no savepoint of job none in s3://checkpoints/team/{NAMESPACE}/\n"


def test_a_job_that_uses_another_store_would_never_find_it(lost: Desk) -> None:
    lost.put(dump(job(checkpoints={"store": "other"})))
    done = lost.run("rebuild", NAMESPACE, "--yes")
    assert made(lost) == {}
    assert done.stdout.count("no: its StreamJob uses CheckpointStore other") == 2


def test_json_and_yaml_say_the_same(lost: Desk) -> None:
    found = json.loads(lost.run("rebuild", NAMESPACE, "-o", "json").stdout)
    assert yaml.safe_load(lost.run("rebuild", NAMESPACE, "-o", "yaml").stdout) == found
    assert (found["store"], found["missingJobs"], found["done"]) == ("main", [JOB], False)
    assert found["checkpoints"][1] == {
        "name": "before",
        "job": JOB,
        "source": "Manual",
        "description": "before the move",
        "written": "2026-01-31T11:00:00Z",
        "location": savepoint(1),
        "bytes": 16,
        "outcome": "would be made",
    }


def test_one_that_is_refused_does_not_keep_the_others_back_and_is_1(lost: Desk) -> None:
    def before(verb: str, _kind: str, name: str) -> None:
        if (verb, name) == ("create", "counter-stop-1"):
            raise Refused("403 Forbidden: needs the verb import", "Forbidden", 403)

    lost.kube.before = before
    done = lost.run("rebuild", NAMESPACE, "--yes")
    assert (done.exit_code, set(made(lost))) == (1, {"before"})
    assert "NOT made: 403 Forbidden: needs the verb import" in done.stdout


def test_in_another_clusters_store_nothing_is_made(lost: Desk) -> None:
    lost.lake.keys[MARK] = {"cluster": OTHER_CLUSTER}
    done = lost.run("rebuild", NAMESPACE, "--yes")
    assert (done.exit_code, made(lost)) == (1, {})
    assert "adopt it (penstock adopt)" in done.stderr


def test_which_store_must_be_said_when_there_are_several(lost: Desk) -> None:
    second = store_manifest()
    lost.put(second | {"metadata": second["metadata"] | {"name": "second"}})
    done = lost.run("rebuild", NAMESPACE)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "penstock: which CheckpointStore? there are 2 (main, second): name it (--store)\n"
    assert lost.run("rebuild", NAMESPACE, "--store", "main").exit_code == 0


def test_a_namespace_that_may_not_use_the_store(lost: Desk) -> None:
    lost.put(store_manifest(allowedNamespaces={"names": ["other"]}))
    done = lost.run("rebuild", NAMESPACE)
    assert (done.exit_code, done.stderr) == (
        1,
        "penstock: CheckpointStore main is not for namespace flights (its spec.allowedNamespaces)\n",
    )
