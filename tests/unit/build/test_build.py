"""What holds for the objects of every run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import names
from penstock.api import ownership
from penstock.api.constants import JOB_NAME_MAX_LENGTH
from penstock.api.program_config import CHANGEABLE
from penstock.build import preflight
from penstock.build import run as build
from penstock.build.context import RunContext
from penstock.build.flink_config import JAVA_OPTIONS, configuration, owned, render
from penstock.build.program import command
from penstock.substitution import substitute
from tests.unit.build.test_golden import JAR, JAR_SECRETS, SQL_SECRETS, context, everything
from tests.unit.builders import RUN, savepoint

CONTEXTS: list[RunContext] = [
    context(),
    context(JAR, restore_from=savepoint(1), store={"jobCredentials": {"serviceAccount": True}}),
    context(SQL_SECRETS),
    context(JAR_SECRETS),
]
EACH = pytest.mark.parametrize("of", CONTEXTS, ids=["sql", "jar", "sql-secrets", "jar-secrets"])


def pods(of: RunContext) -> Iterator[tuple[str, dict[str, Any]]]:
    for manifest in build.lasting(of):
        template = manifest.get("spec", {}).get("template")
        if template:
            yield manifest["kind"], template


def containers(of: RunContext) -> Iterator[dict[str, Any]]:
    for _, template in pods(of):
        yield from template["spec"]["containers"] + template["spec"].get("initContainers", [])


# ---------------------------------------------------------------- configuration


def test_flink_refuses_a_program_that_changes_what_its_state_depends_upon() -> None:
    found = configuration(context())
    assert found["execution.program-config.enabled"] == "false"
    assert found["execution.program-config.wildcards"].split(";") == list(CHANGEABLE)


def test_a_user_may_add_words_of_a_programs_own_options() -> None:
    more = {"execution.program-config.wildcards": "my; other.key;"}
    found = configuration(context({"flink": {"version": "2.3", "configuration": more}}))
    assert found["execution.program-config.wildcards"].split(";")[-2:] == ["my", "other.key"]


def test_a_version_that_ran_without_it_is_started_again_without_it() -> None:
    assert not any(key.startswith("execution.program-config") for key in configuration(context(guarded=False)))


@pytest.mark.parametrize(
    ("written", "heard"),
    [
        ({"env.java.opts": "-Da=1"}, "-Da=1"),
        ({"env.java.opts.all": "-Db=2"}, "-Db=2"),
        ({"env.java.opts": "-Da=1", "env.java.opts.all": "-Db=2"}, "-Da=1 -Db=2"),
    ],
)
def test_java_options_stand_behind_those_that_flink_needs(written: dict[str, str], heard: str) -> None:
    found = configuration(context({"flink": {"version": "2.3", "configuration": written}}))
    assert found["env.java.opts.all"] == f"{JAVA_OPTIONS} {heard}"
    assert "env.java.opts" not in found


@EACH
def test_every_owned_key_is_refused_when_a_user_writes_it(of: RunContext) -> None:
    assert {key for key in owned(of) if ownership.owned(key) is None} == set()


@given(st.sampled_from(sorted(owned(CONTEXTS[1]))), st.text(max_size=20))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_user_cannot_override_an_owned_key(key: str, value: str) -> None:
    of = context({"flink": {"version": "2.3", "configuration": {key: value}}}, restore_from=savepoint(1))
    assert configuration(of)[key] == owned(of)[key]


def test_a_user_overrides_a_default_and_adds_to_the_java_options() -> None:
    mine = {"state.backend.type": "rocksdb", "env.java.opts.all": "-Dmine=1"}
    keys = configuration(context({"flink": {"version": "2.3", "configuration": mine}}))
    assert keys["state.backend.type"] == "rocksdb"
    assert keys["env.java.opts.all"].endswith(" -Dmine=1")
    assert "--add-opens=java.base/java.util=ALL-UNNAMED" in keys["env.java.opts.all"]


# All of Unicode, lone surrogates too, and more often what YAML treats specially.
letters = st.one_of(
    st.characters(), st.characters(categories=["Cs", "Cc", "Zl", "Zp"]), st.sampled_from("\ufeff\ufffe\uffff🙂'\"\\: #")
)


@given(st.dictionaries(st.text(letters, min_size=1, max_size=9), st.text(letters, max_size=30), max_size=4))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_the_rendered_configuration_reads_back_as_it_was(keys: dict[str, str]) -> None:
    assert (yaml.safe_load(render(keys)) or {}) == keys


def test_the_configuration_is_written_as_it_is_where_yaml_allows() -> None:
    assert render({"a": 'é🙂"\n\x85\ufeff\ud83d'}) == '"a": "é🙂\\"\\n\\u0085\\ufeff\\ud83d"\n'


def test_a_run_without_a_restore_names_no_path() -> None:
    assert "execution.state-recovery.path" not in owned(context())
    assert owned(CONTEXTS[1])["execution.state-recovery.path"] == savepoint(1)


def test_rules_of_flink_that_the_design_rests_on() -> None:
    keys = owned(context())
    assert keys["execution.state-recovery.claim-mode"] == "NO_CLAIM"
    assert keys["execution.checkpointing.externalized-checkpoint-retention"] == "RETAIN_ON_CANCELLATION"
    assert keys["execution.shutdown-on-application-finish"] == "false"
    assert keys["job-result-store.delete-on-commit"] == "false"
    assert keys["kubernetes.cluster-id"].endswith(RUN[:8])
    assert f"/ha/{RUN}" in keys["high-availability.storageDir"]


# ---------------------------------------------------------------- pods


@EACH
def test_pods_fit_the_restricted_standard(of: RunContext) -> None:
    for _, template in pods(of):
        security = template["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & template["spec"].keys()
        for volume in template["spec"]["volumes"]:
            assert volume.keys() <= {"name", "configMap", "secret", "emptyDir"}
    for container in containers(of):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["readOnlyRootFilesystem"] is True
        assert not security.get("privileged")
        assert all("hostPort" not in port for port in container.get("ports", []))


@EACH
def test_every_container_says_what_it_needs(of: RunContext) -> None:
    for container in containers(of):
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@EACH
def test_no_key_and_no_script_is_in_a_pod_or_a_config_map(of: RunContext) -> None:
    visible = yaml.dump([each for each in build.lasting(of) if each["kind"] != "Secret"])
    assert "INSERT" not in visible
    for container in containers(of):
        for variable in container.get("env", []):
            assert not ("SECRET" in variable["name"] and "value" in variable)


def test_a_job_without_keys_gets_none() -> None:
    assert not any("AWS_ACCESS_KEY_ID" in str(each) for each in containers(CONTEXTS[1]))
    assert any("AWS_ACCESS_KEY_ID" in str(each) for each in containers(CONTEXTS[0]))


@EACH
def test_a_jobmanager_is_never_started_again_by_its_pod_and_the_guard_comes_first(of: RunContext) -> None:
    manager = build.job_manager(of)
    assert manager["kind"] == "Job"
    template = manager["spec"]["template"]["spec"]
    assert template["restartPolicy"] == "Never"
    assert template["initContainers"][-1]["name"] == "guard"
    assert "ttlSecondsAfterFinished" not in manager["spec"]
    assert of.run in template["containers"][0]["command"]


@EACH
def test_every_mount_has_its_volume_and_every_volume_a_mount(of: RunContext) -> None:
    for _, template in pods(of):
        spec = template["spec"]
        mounted = {
            mount["name"]
            for container in spec["containers"] + spec.get("initContainers", [])
            for mount in container.get("volumeMounts", [])
        }
        assert mounted == {volume["name"] for volume in spec["volumes"]}


@EACH
def test_only_the_jobmanager_has_the_script(of: RunContext) -> None:
    assert "penstock/job.sql" not in str(build.task_managers(of))
    assert "flights-aaaaaaaa-job'" not in str(build.task_managers(of))
    assert "/opt/penstock" in [mount["mountPath"] for mount in manager(of)["volumeMounts"]]


@EACH
def test_the_permit_is_not_among_what_is_applied_again_and_again(of: RunContext) -> None:
    made = [each["metadata"]["name"] for each in build.lasting(of)]
    assert build.permit(of)["metadata"]["name"] not in made
    assert build.lasting(of)[-1]["kind"] == "Job"


@EACH
def test_a_users_labels_do_not_hide_ours(of: RunContext) -> None:
    for _, template in pods(of):
        assert template["metadata"]["labels"]["penstock.dev/run"] == RUN


@EACH
def test_objects_go_with_their_job_and_are_found_by_their_run(of: RunContext) -> None:
    for manifest in [build.permit(of), *build.lasting(of)]:
        (owner,) = manifest["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == (of.meta.uid, True)
        assert manifest["metadata"]["labels"]["penstock.dev/run"] == RUN
        assert manifest["metadata"]["labels"]["penstock.dev/job-uid"] == of.meta.uid


def test_selectors_find_the_pods_of_one_run_only() -> None:
    of = CONTEXTS[0]
    for manifest in build.lasting(of):
        if manifest["kind"] == "Deployment":
            selector = manifest["spec"]["selector"]["matchLabels"]
            assert selector.items() <= manifest["spec"]["template"]["metadata"]["labels"].items()
            assert selector["penstock.dev/run"] == RUN


@pytest.mark.parametrize(("parallelism", "slots", "replicas"), [(1, 1, 1), (5, 2, 3), (4, 4, 1), (9, 4, 3)])
def test_as_many_taskmanagers_as_parallelism_needs(parallelism: int, slots: int, replicas: int) -> None:
    of = context({"parallelism": parallelism, "taskManager": {"slots": slots}})
    assert build.task_managers(of)["spec"]["replicas"] == replicas


@EACH
def test_the_same_run_gives_the_same_objects(of: RunContext) -> None:
    assert everything(of) == everything(of)


# ---------------------------------------------------------------- secrets


def manager(of: RunContext) -> dict[str, Any]:
    """The JobManager's container."""
    (container,) = build.job_manager(of)["spec"]["template"]["spec"]["containers"]
    return dict(container)


def references(container: dict[str, Any]) -> dict[str, str]:
    """The variables of the secrets that a container gets, and where each comes from."""
    found = [each for each in container.get("env", []) if each["name"].startswith("PENSTOCK_")]
    sources = [(each["name"], each["valueFrom"]["secretKeyRef"]) for each in found]
    assert len(dict(sources)) == len(sources)
    return {name: f"{source['name']}/{source['key']}" for name, source in sources}


def expanded(text: str, environment: dict[str, str]) -> str:
    """What the kubelet makes of a word of a command (Kubernetes' third_party/forked/golang/expansion)."""

    def meant(found: re.Match[str]) -> str:
        if found["name"] is None:
            return found["other"] if found["other"] == "$" else found.group()
        return environment.get(found["name"], found.group())

    return re.sub(r"\$(?:\((?P<name>[^)]*)\)|(?P<other>.))", meant, text, flags=re.DOTALL)


def sql(script: str) -> RunContext:
    return context({"job": {"sql": {"script": script}}})


def jar(*arguments: str, **job: str) -> RunContext:
    return context({"job": {"jar": {"uri": "local:///job.jar", "args": list(arguments), **job}}})


def test_a_script_with_secrets_is_rendered_before_the_guard_is_asked() -> None:
    of = CONTEXTS[2]
    pod = build.job_manager(of)["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["initContainers"]] == ["render", "guard"]
    render_first, guard = pod["initContainers"]
    assert references(render_first) == {
        "PENSTOCK_SECRET_0": "kafka/user",
        "PENSTOCK_SECRET_1": "kafka.prod/pass.word",
    }
    assert references(guard) == references(manager(of)) == {}
    assert {"name": "script", "emptyDir": {"medium": "Memory"}} in pod["volumes"]
    assert {"name": "script", "mountPath": "/opt/penstock", "readOnly": True} in manager(of)["volumeMounts"]
    assert "job" not in [mount["name"] for mount in manager(of)["volumeMounts"]]


@pytest.mark.parametrize(
    ("script", "containers_before"),
    [
        ("INSERT INTO a SELECT '$', '{', '${x}';", ["guard"]),
        ("INSERT INTO a SELECT '$${x}';", ["render", "guard"]),
        ("INSERT INTO a SELECT '${secret:a/b}';", ["render", "guard"]),
    ],
)
def test_a_script_is_rendered_only_when_there_is_something_to_render(script: str, containers_before: list[str]) -> None:
    pod = build.job_manager(sql(script))["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["initContainers"]] == containers_before


def test_what_flink_prints_of_a_script_with_secrets_is_thrown_away() -> None:
    assert manager(CONTEXTS[2])["command"][:3] == ["bash", "-c", 'exec "$$@" > /dev/null']
    assert "SYSTEM_ERR" in str(build.config_map(CONTEXTS[2]))
    for of in (CONTEXTS[0], CONTEXTS[3], sql("SELECT '$${x}';")):
        assert manager(of)["command"][0] == "/opt/flink/bin/standalone-job.sh"
        assert "SYSTEM_ERR" not in str(build.config_map(of))


def test_arguments_with_secrets_are_not_logged() -> None:
    assert "RegexFilter" in str(build.config_map(CONTEXTS[3]))
    for of in (CONTEXTS[0], CONTEXTS[2], jar("a", "$${secret:a/b}")):
        assert "RegexFilter" not in str(build.config_map(of))


def test_a_secret_in_an_argument_is_a_variable_of_the_jobmanager_alone() -> None:
    of = CONTEXTS[3]
    assert references(manager(of)) == {"PENSTOCK_SECRET_0": "kafka/user", "PENSTOCK_SECRET_1": "kafka/password"}
    assert "--login=$(PENSTOCK_SECRET_0):$(PENSTOCK_SECRET_1)" in manager(of)["command"]
    others = [each for each in containers(of) if each["name"] != "jobmanager"]
    assert [references(each) for each in others] == [{}, {}]


def test_a_variable_of_the_users_cannot_replace_a_secret() -> None:
    names_given = [each["name"] for each in manager(CONTEXTS[3])["env"]]
    assert names_given.count("PENSTOCK_SECRET_0") == 1
    assert "TZ" in names_given
    assert "not this" not in yaml.dump(build.lasting(CONTEXTS[3]))


words = st.lists(
    st.sampled_from(["$", "$$", "$(", "(POD_IP)", ")", "{", "$${", "${secret:a/b}", "${secret:c/d}", "x", "é", "\n"])
).map("".join)


@given(st.lists(words, max_size=4), words, words)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_program_gets_its_arguments_as_they_are_meant(arguments: list[str], uri: str, entry: str) -> None:
    of = jar(*arguments, uri=f"local:///{uri}", entryClass=f"X{entry}")
    container = manager(of)
    environment = {"POD_IP": "10.0.0.1"} | {name: f"<{key}>$(POD_IP)" for name, key in references(container).items()}
    command = [expanded(each, environment) for each in container["command"]]
    meant = [substitute(each, lambda key: f"<{key.name}/{key.key}>$(POD_IP)") for each in arguments]
    assert command[-len(meant) - 2 :] == ["--job-classname", f"X{entry}", *meant]
    # An option of Flink's own must follow: up to the next one it takes everything for a jar.
    jars = command.index("--jars")
    assert command[jars + 1 : jars + 3] == [f"local:///{uri}", "--job-id"]
    assert "-Djobmanager.rpc.address=10.0.0.1" in command


# ---------------------------------------------------------------- names

job_names = st.from_regex(r"[a-z]([-a-z0-9]*[a-z0-9])?", fullmatch=True).filter(lambda n: len(n) <= JOB_NAME_MAX_LENGTH)
run_ids = st.text("0123456789abcdef", min_size=32, max_size=32)
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_OF_RUN = (names.job_manager, names.task_manager, names.config, names.script, names.permit, names.preflight)


@given(st.one_of(job_names, st.just("x" * JOB_NAME_MAX_LENGTH)), run_ids, st.integers(1, 99_999))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_names_fit(name: str, run: str, number: int) -> None:
    made = [make(name, run) for make in _OF_RUN]
    made += [names.revision(name, number), names.stop_checkpoint(name, "Upgrade", run, number)]
    for each in made:
        assert len(each) <= 63
        assert _LABEL.fullmatch(each)
    assert len(names.cluster_id(name, run)) <= 45
    # The Job's pods get five random characters and a dash; their hostname is cut at 63.
    assert len(names.job_manager(name, run)) + 6 <= 63
    assert len(set(made)) == len(made)


@given(job_names, run_ids, run_ids)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_two_runs_share_no_name(name: str, one: str, other: str) -> None:
    if one[:8] != other[:8]:
        assert not {make(name, one) for make in _OF_RUN} & {make(name, other) for make in _OF_RUN}


@given(st.text(max_size=40), st.integers(0, 99))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_trigger_id_is_what_flink_takes(uid: str, attempt: int) -> None:
    made = names.trigger_id(uid, attempt)
    assert names.is_run(made)
    assert made == names.trigger_id(uid, attempt)
    assert made != names.trigger_id(uid, attempt + 1)


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("spec", [{}, JAR], ids=["sql", "jar"])
def test_state_is_given_up_only_when_the_run_was_started_so(spec, allowed):
    told = command(context(spec, restore_from=savepoint(1), allow_non_restored_state=allowed))
    assert ("--allowNonRestoredState" in told) is allowed
    if allowed:
        assert told[told.index("--fromSavepoint") + 1] == savepoint(1)
        assert told.index("--allowNonRestoredState") < told.index("--job-id"), "what follows the class is the program's"


@pytest.mark.parametrize(
    ("first", "tried_is"),
    [
        ("CREATE CATALOG lake WITH ('type'='iceberg');", "CREATE CATALOG lake WITH ('type'='iceberg');"),
        ("-- nothing but a comment\n", "SHOW TABLES;"),
    ],
)
def test_the_trial_is_given_nothing_that_changes_a_catalog_which_outlives_the_job(first, tried_is):
    script = first + "\n-- anew\nDROP TABLE lake.db.t;\nINSERT INTO lake.db.t SELECT 1;"
    tried = context({"job": {"sql": {"script": script}}}, preflight=True)
    secrets = [each for each in preflight.objects(tried, ()) if each["kind"] == "Secret"]
    assert [each["stringData"]["job.sql"] for each in secrets] == [tried_is]
    assert build.secret(tried)["stringData"]["job.sql"] == script
