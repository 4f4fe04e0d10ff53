"""What the JobManager runs, and how the values of Secrets get into it.

The run's constants (`${penstock.…}`) are in both by then: the context has put them in, no pod has to.
In scripts `${secret:name/key}` is resolved by an init container (`penstock.render`), in arguments by the kubelet. Both
take the values from environment variables by `secretKeyRef`, so that no other object than the Secret holds them.
"""

from __future__ import annotations

from typing import Any

from penstock.build.context import RunContext
from penstock.substitution import is_plain, substitute, variables

Manifest = dict[str, Any]
SCRIPT_PATH = "/opt/penstock"
"""Where the script is that Flink runs."""
START = "/opt/flink/bin/standalone-job.sh"
"""What starts a JobManager in Flink's images."""
_SQL_DRIVER = "org.apache.flink.table.runtime.application.SqlDriver"
# Flink prints every statement, as it runs it, to the standard output; its log goes elsewhere (see `flink_config`).
_WITHOUT_OUTPUT = ["bash", "-c", 'exec "$$@" > /dev/null', "bash"]


def is_rendered(context: RunContext) -> bool:
    """Whether there is a script that must be rendered before Flink can run it."""
    return context.script is not None and not is_plain(context.script)


def script_secrets(context: RunContext) -> list[Manifest]:
    """The environment variables that bring the script's secrets into the pod; no value is in them."""
    return _references(context.script) if context.script is not None else []


def argument_secrets(context: RunContext) -> list[Manifest]:
    """The same for a jar's arguments."""
    return _references(*context.arguments)


def command(context: RunContext) -> list[str]:
    """The command of the JobManager's container, in which the kubelet replaces `$(POD_IP)` and the secrets."""
    start = [START, "start-foreground", *arguments(context)]
    return [*_WITHOUT_OUTPUT, *start] if script_secrets(context) else start


def arguments(context: RunContext) -> list[str]:
    """What Flink's entry point is given."""
    # Not --host: 2.3 does not know it, and takes everything after it for the program's own arguments.
    # The jar first: Flink takes all that follows it, up to the next of its own options, for further jars (seen, 2.3).
    jar = context.spec.job.jar
    jars = ["--jars", literal(jar.uri)] if jar is not None else []
    given = ["-Djobmanager.rpc.address=$(POD_IP)", *jars, *_giving_up(context)]
    return [*given, "--job-id", context.run, *_program(context)]


def _giving_up(context: RunContext) -> list[str]:
    """By options only: without them Flink's entry point sets `ignore-unclaimed-state` to false itself (seen, 2.3)."""
    if not (context.allow_non_restored_state and context.restore_from):
        return []
    return ["--fromSavepoint", literal(context.restore_from), "--allowNonRestoredState"]


def _program(context: RunContext) -> list[str]:
    """What Flink's application mode runs. A script is named by its place, so that no pod's command holds it."""
    job = context.spec.job
    if job.sql is not None:
        return ["--job-classname", _SQL_DRIVER, "--scriptUri", f"file://{SCRIPT_PATH}/job.sql"]
    if job.jar is None:
        msg = "spec.job.python is not supported yet"
        raise ValueError(msg)
    entry = ["--job-classname", literal(job.jar.entry_class)] if job.jar.entry_class else []
    keys = variables(*context.arguments)
    given = [substitute(each, lambda key: f"$({keys[key]})", literal) for each in context.arguments]
    return [*entry, *given]


def literal(text: str) -> str:
    """What the kubelet turns into `text`: it replaces `$(NAME)`, and takes every `$$` for a `$`."""
    return text.replace("$", "$$")


def _references(*texts: str) -> list[Manifest]:
    return [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret.name, "key": secret.key}}}
        for secret, variable in variables(*texts).items()
    ]
