"""The pod that tries a program: made like the JobManager's, found by its label, and deleted with all that it had."""

from __future__ import annotations

from dataclasses import replace

from penstock import names
from penstock.act import carry_out
from penstock.api import constants
from penstock.flink.answers import Graph, Unfit, read_graph
from penstock.model import DeleteGraph, MakeGraph
from tests.unit.act.test_effects import with_job
from tests.unit.build.test_golden import REPLAY
from tests.unit.builders import JOB, job

ID = "c" * 32


async def test_it_is_made_with_the_account_and_the_job_last():
    world, observed = with_job()
    await carry_out(world, observed, MakeGraph(ID, ("d" * 32,)))
    applied = [(kind, name) for verb, kind, name in world.kube.calls if verb == "apply"]
    assert applied[-1] == ("Job", names.preflight(JOB, ID))
    assert {kind for kind, _ in applied} == {"ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Secret", "Job"}
    for kind in ("ConfigMap", "Secret", "Job"):
        (made,) = world.kube.of(kind).values()
        labels = made["metadata"]["labels"]
        assert (labels[constants.LABEL_PREFLIGHT], constants.LABEL_RUN in labels) == (ID, False)
        assert made["metadata"]["ownerReferences"][0]["uid"] == job().metadata.uid


async def test_its_script_has_the_constants_that_the_run_would_have():
    script = "INSERT INTO a SELECT '${penstock.source.startup-mode}';"
    world, observed = with_job()
    told = job(job={"sql": {"script": script}}).spec
    observed = replace(observed, job=observed.job.model_copy(update={"spec": told}))
    await carry_out(world, observed, MakeGraph(ID, (), REPLAY))
    assert "'timestamp'" in world.kube.of("Secret")[names.script(JOB, ID)]["stringData"]["job.sql"]


async def test_it_is_deleted_with_all_that_it_had_and_may_be_again():
    world, observed = with_job()
    await carry_out(world, observed, MakeGraph(ID, ()))
    for _ in range(2):
        await carry_out(world, observed, DeleteGraph(ID))
    assert [world.kube.of(kind) for kind in ("Job", "Secret", "ConfigMap")] == [{}, {}, {}]
    deleted = [kind for verb, kind, _ in world.kube.calls if verb == "delete"]
    assert deleted[:3] == ["Job", "Secret", "ConfigMap"]


def test_what_it_says():
    assert read_graph("graph 5 2\naa\nbb") == Graph(5, ("aa", "bb"), 2)
    assert read_graph("graph 5 0\n") == Graph(5)
    unfit = (Unfit("aa", 8, 4, changed=False), Unfit("bb", 8, 16, changed=True))
    assert read_graph("graph 5 1\ncc\nwide aa 8 4\nmax bb 8 16\nother dd 1 2") == Graph(5, ("cc",), 1, unfit)
    assert read_graph("failed\none\n two") == Graph(failure="one / two")
    assert read_graph("failed\n") == Graph(failure="without a word")
    assert [read_graph(text) for text in ("", "java.lang.OutOfMemoryError", "graph x 1", "graph 1")] == [None] * 4
