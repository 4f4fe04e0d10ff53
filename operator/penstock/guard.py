"""Runs before Flink in every JobManager pod (init container): may this pod start the run?

A run may be started from its restore path exactly once. After that only Flink's HA metadata says where it is; without
it, a JobManager would begin again at the restore path and the state since then would be lost. The permit is a
ConfigMap that the operator makes once for a run; writing the pod's uid into it is what allows the first start, and the
API server lets only one pod succeed. It stays, used: a request to make it that comes late, from an operator that has
lost its lease, then finds it there. Only the standard library is used: this must be quick, and works while the operator
is down.
"""

from __future__ import annotations

import argparse
import json
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

REFUSED = 75
"""Exit code that the Job's podFailurePolicy turns into a failed Job: the operator starts a new run then."""
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
USED = "used"
"""The key of a permit's data under which the uid of the pod stands that was the first; the operator reads it, too."""
_NOT_FOUND = 404
_ATTEMPTS = 30


class Api:
    """The few calls that the guard makes, as the pod's own service account."""

    def __init__(self, host: str, namespace: str, token: str, ca_file: str) -> None:
        self._root = f"https://{host}/api/v1/namespaces/{namespace}/configmaps"
        self._token = token
        self._context = ssl.create_default_context(cafile=ca_file)

    def get(self, name: str) -> dict[str, Any] | None:
        """A ConfigMap; None when there is none."""
        return self._call("GET", f"{self._root}/{name}")

    def replace(self, config_map: dict[str, Any]) -> bool:
        """Write a ConfigMap that was read; False when it is gone. An error when somebody has changed it meanwhile."""
        return self._call("PUT", f"{self._root}/{config_map['metadata']['name']}", config_map) is not None

    def find(self, labels: str) -> list[dict[str, Any]]:
        """ConfigMaps by label selector."""
        answer = self._call("GET", f"{self._root}?labelSelector={urllib.parse.quote(labels)}")
        return list((answer or {}).get("items", []))

    def _call(self, method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=10, context=self._context) as answer:  # noqa: S310
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            if error.code == _NOT_FOUND:
                return None
            raise


def high_availability_is_whole(config_maps: list[dict[str, Any]], run: str) -> bool:
    """Whether Flink's HA ConfigMaps hold both the run's plan and its checkpoint pointers.

    With the plan alone Flink would start the plan again from its first restore path.
    """
    keys = [(item.get("metadata", {}).get("name", ""), set((item.get("data") or {}).keys())) for item in config_maps]
    plan = any(key.endswith(run) and ("Plan-" in key or "Graph-" in key) for _, names in keys for key in names)
    pointers = any(run in name and any(key.startswith("checkpointID-") for key in names) for name, names in keys)
    return plan and pointers


def use(api: Api, permit: str, pod: str) -> bool:
    """Use the permit up; whether this pod is the one that has. That it already was says a repeated request, too."""
    found = api.get(permit)
    if found is None:
        return False
    by = (found.get("data") or {}).get(USED)
    if by is not None:
        return bool(pod and by == pod)
    return api.replace(found | {"data": (found.get("data") or {}) | {USED: pod or "a pod"}})


def decide(api: Api, permit: str, selector: str, run: str, pod: str) -> tuple[int, str]:
    """The exit code and a sentence for the pod's log."""
    if use(api, permit, pod):
        return 0, f"first start of run {run}: permit {permit} used up"
    found = api.find(selector)
    if high_availability_is_whole(found, run):
        return 0, f"run {run} goes on from Flink's HA metadata"
    return REFUSED, f"run {run} was started before and its HA metadata is gone or not whole: not started again"


def main(arguments: list[str] | None = None) -> int:
    """Ask the API server, for at most five minutes while it does not answer; 0 lets Flink start."""
    parser = argparse.ArgumentParser(prog="python3 -m penstock.guard", description=__doc__)
    parser.add_argument("--permit", required=True, help="name of the ConfigMap that allows the first start")
    parser.add_argument("--selector", required=True, help="label selector of the run's HA ConfigMaps")
    parser.add_argument("--run", required=True, help="the run's id, Flink's job id")
    # Jobs that an older operator has made do not give it, and their image may be a newer one by now.
    parser.add_argument("--pod", default="", help="uid of the pod in which this runs")
    given = parser.parse_args(arguments)
    namespace = (_ACCOUNT / "namespace").read_text().strip()
    token = (_ACCOUNT / "token").read_text().strip()
    api = Api("kubernetes.default.svc", namespace, token, str(_ACCOUNT / "ca.crt"))
    for attempt in range(_ATTEMPTS):
        try:
            code, message = decide(api, given.permit, given.selector, given.run, given.pod)
        except OSError as error:  # includes HTTP errors and time-outs: nobody knows, so nothing starts
            sys.stdout.write(f"the API server does not answer ({error}), attempt {attempt + 1}\n")
            sys.stdout.flush()
            time.sleep(min(attempt + 1, 10))
            continue
        sys.stdout.write(message + "\n")
        return code
    return 1


if __name__ == "__main__":
    sys.exit(main())
