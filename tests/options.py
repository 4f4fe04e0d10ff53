"""What options Flink has, read from the option classes of the jars in an image: `python3 -m tests.options IMAGE`.

It prints a line for each option, its key and its older names; `tests/data/flink-options/<version>.txt` is such a print.
The test cluster must be up, and hold the image.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.settings import paths

SOURCE = Path(__file__).parent / "data" / "flink-options" / "Options.java"
_JARS = "/opt/flink/lib/*.jar /opt/flink/opt/flink-s3-fs-*.jar"
Kubectl = Callable[..., Any]


def read(kubectl: Kubectl, namespace: str, image: str) -> str:
    """The options of the Flink in an image: a pod in that namespace, which must be there, reads and prints them."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["javac", "-d", folder, str(SOURCE)], check=True)
        kubectl("-n", namespace, "create", "configmap", "options", f"--from-file={folder}")
    container = {
        "name": "options",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["bash", "-c", f"java -XX:+UseSerialGC -cp /options Options {_JARS}"],
        "volumeMounts": [{"name": "options", "mountPath": "/options"}],
    }
    volume = {"name": "options", "configMap": {"name": "options"}}
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": [volume]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "options", "namespace": namespace}, "spec": spec}
    kubectl("apply", "--server-side", "-f", "-", given=pod)
    kubectl(
        *("-n", namespace, "wait", "pod/options", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=100s"),
        seconds=110,
    )
    return str(kubectl("-n", namespace, "logs", "pod/options").stdout)


def _kubectl(*arguments: str, given: object = None, seconds: float = 30) -> subprocess.CompletedProcess[str]:
    words = ["kubectl", "--kubeconfig", str(paths().kubeconfig), *arguments]
    text = None if given is None else json.dumps(given)
    return subprocess.run(words, input=text, capture_output=True, text=True, timeout=seconds, check=True)


if __name__ == "__main__":
    _kubectl("create", "namespace", "penstock-options")
    try:
        print(read(_kubectl, "penstock-options", sys.argv[1]), end="")
    finally:
        _kubectl("delete", "namespace", "penstock-options", "--wait=false")
