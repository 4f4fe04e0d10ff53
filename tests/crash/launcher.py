"""Forks operators: reads one JSON object a line (env, log, broken) and answers with the pid of the process it made.

Started as a script by `processes.Zygote`. Everything that is the same for every operator has been imported before the
fork; nothing has been opened, no thread runs.
"""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import sys
from typing import Any

import boto3
from kubernetes.aio.config import kube_config

from penstock import __main__ as operator
from tests.crash import broken
from tests.crash.processes import die_with_parent


def warm() -> None:
    """Have botocore read its description of S3 once: it takes longer than the operator's whole start."""
    boto3.setup_default_session()
    boto3.client("s3", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")  # noqa: S106


def become(asked: dict[str, Any]) -> None:
    """The child: from here on it is the operator."""
    die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.clear()
    os.environ.update(asked["env"])
    random.seed()
    # The client has read this variable when it was imported.
    kube_config.KUBE_CONFIG_DEFAULT_LOCATION = asked["env"]["KUBECONFIG"]
    sys.argv = ["penstock"]
    if asked["broken"]:
        broken.WAYS[asked["broken"]]()
    operator.main()


def main() -> None:
    """Fork until the harness closes the pipe."""
    warm()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel takes the dead away; the harness holds their pidfd
    gc.collect()
    gc.freeze()
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                become(asked)
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
                if isinstance(end.code, str):
                    os.write(2, f"{end.code}\n".encode())
            finally:
                sys.stdout.flush()
                os._exit(code)
        sys.stdout.write(json.dumps({"pid": pid}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
