"""The objects that look at a start before it begins: a pod that makes the program's graph without executing it.

The pod is the JobManager's in all that the program can see: image, configuration, script, arguments, account, limits.
Only what is started in it is ours (`operator/java`), and nothing of Flink's that could touch the job's state is ever
made. The answer is the last message of its container, which Kubernetes keeps in the pod's status: nobody needs a right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from penstock import names
from penstock.build.context import PREFLIGHT, RunContext
from penstock.build.pods import CONFIG_PATH, RESTRICTED, SMALL, flink_container, pod_template, render_container
from penstock.build.program import START, arguments, is_rendered, literal
from penstock.build.run import config_map, secret
from penstock.statements import changes_outside

Manifest = dict[str, Any]
_JAR = "penstock-preflight.jar"
_IMAGE_PATH = f"/app/java/{_JAR}"
"""Where it lies in the operator's image."""
_FOLDER = "/opt/penstock-java"
_ANSWER = "/dev/termination-log"
_NOTHING = "SHOW TABLES;"
"""A script that does nothing: Flink takes no empty one."""
_SECONDS = 180
"""How long it may take, from being made: an image may have to be pulled first."""
# Flink's own scripts find the class path and Java's options, by the name that bash gives to this. Its standard output
# is thrown away: Flink prints each statement of a script there, with what Secrets hold. The heap is what a JobManager
# of this size could spare for a program. Our jar comes last: an archive of shared classes is good for a JVM whose class
# path begins with the jars that it was made of.
_RUN = f"""\
. "${{0%/*}}/config.sh"
exec "$JAVA_RUN" -XX:MaxRAMPercentage=60 $(eval echo $FLINK_ENV_JAVA_OPTS $FLINK_ENV_JAVA_OPTS_JM) \
  "-Dlog4j.configurationFile=file:$FLINK_CONF_DIR/log4j-console.properties" \
  -classpath "$(constructFlinkClassPath):{_FOLDER}/{_JAR}" dev.penstock.Preflight "$@" > /dev/null
"""


def objects(context: RunContext, operators: Iterable[str]) -> list[Manifest]:
    """Configuration, script and Job, in the order in which they are applied.

    Args:
        context: of the start; its `run` is the id of the look.
        operators: `<id>:<max parallelism>` of those with state.
    """
    context = tried(context)
    return [config_map(context), secret(context), _job(context, operators)]


def tried(context: RunContext) -> RunContext:
    """With as much of the script as may be carried out: nothing that would change a catalog which outlives the job."""
    sql = context.spec.job.sql
    outside = changes_outside(sql.script) if sql is not None else None
    if sql is None or outside is None:
        return context
    # Up to the semicolon: of comments alone Flink's parser says that a statement is missing.
    script = sql.script[: outside.after] or _NOTHING
    job = context.spec.job.model_copy(update={"sql": sql.model_copy(update={"script": script})})
    return replace(context, spec=context.spec.model_copy(update={"job": job}))


def _job(context: RunContext, operators: Iterable[str]) -> Manifest:
    given = [_ANSWER, ",".join(operators), "--configDir", CONFIG_PATH, *arguments(context)]
    container = flink_container(context, PREFLIGHT, ["bash", "-c", literal(_RUN), START, *given])
    container["volumeMounts"].append({"name": "java", "mountPath": _FOLDER, "readOnly": True})
    before = [render_container(context)] if is_rendered(context) else []
    template = pod_template(context, PREFLIGHT, container, [*before, _copy_container(context)])
    template["spec"]["restartPolicy"] = "Never"
    template["spec"]["volumes"].append({"name": "java", "emptyDir": {}})
    disrupted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": context.metadata(names.preflight(context.name, context.run), PREFLIGHT),
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": _SECONDS,
            # Should nobody be there to take it away.
            "ttlSecondsAfterFinished": 3600,
            "podFailurePolicy": {"rules": [disrupted]},
            "template": template,
        },
    }


def _copy_container(context: RunContext) -> Manifest:
    """The init container that brings our program into the pod: Flink's image does not have it."""
    return {
        "name": "java",
        "image": context.operator_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["cp", _IMAGE_PATH, f"{_FOLDER}/{_JAR}"],
        "resources": dict(SMALL),
        "securityContext": dict(RESTRICTED),
        "volumeMounts": [{"name": "java", "mountPath": _FOLDER}],
    }
