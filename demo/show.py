"""`make demo`: the main job on real input, from nothing to a checkpoint that can be restored, with progress."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from demo.host import Kubectl

if TYPE_CHECKING:
    from collections.abc import Callable

NAMESPACE: Final = "penstock-demo"
_LIMIT_SECONDS: Final = 300.0
_BOOTSTRAP: Final = "kafka.penstock-demo.svc:9092"


def main() -> int:
    """Set it up, watch it, show what there is."""
    kubectl = Kubectl.find()
    kubectl.check_context()
    began = time.monotonic()
    step("the operator", kubectl.install_operator)
    step("Kafka and S3", lambda: _services(kubectl))
    step("the flights job", lambda: _job(kubectl))
    step("its first checkpoint", lambda: _checkpoint(kubectl))
    _watch_windows(kubectl)
    print(f"\nThe demo runs ({time.monotonic() - began:.0f} s). What there is now:\n")
    for kind in ("checkpointstores", "streamjobs", "checkpoints"):
        print(f"$ kubectl -n {NAMESPACE} get {kind}")
        print(kubectl("-n", NAMESPACE, "get", kind))
    print(_NEXT.format(kubeconfig=kubectl.kubeconfig))
    return 0


def step(what: str, work: Callable[[], None]) -> None:
    """Do one thing and say how long it took."""
    began = time.monotonic()
    print(f"  {what} ...", flush=True)
    work()
    print(f"  {what}: {time.monotonic() - began:.1f} s", flush=True)


def _services(kubectl: Kubectl) -> None:
    _wait(lambda: _namespace_is_free(kubectl), "namespace penstock-demo is still being deleted")
    kubectl.apply("manifests/demo/namespace.yaml", "manifests/demo/s3.yaml", "manifests/demo/kafka.yaml")
    kubectl.apply("manifests/demo/tools.yaml", "manifests/demo/feeder.yaml")
    for workload in ("deployment/versitygw", "statefulset/kafka", "deployment/tools"):
        kubectl("-n", NAMESPACE, "rollout", "status", workload, "--timeout=180s")


def _namespace_is_free(kubectl: Kubectl) -> bool:
    return "deletionTimestamp" not in kubectl.get("namespace", NAMESPACE).get("metadata", {})


def _job(kubectl: Kubectl) -> None:
    kubectl.apply("manifests/examples/flights.yaml")
    last = ""

    def running() -> bool:
        nonlocal last
        status = kubectl.get("-n", NAMESPACE, "streamjob", "flights").get("status", {})
        words = _words(status)
        if words != last:
            print(f"    {words}", flush=True)
            last = words
        return bool(status.get("state") == "Running")

    _wait(running, "the flights job does not run; see kubectl -n penstock-demo describe streamjob flights")


def _checkpoint(kubectl: Kubectl) -> None:
    def present() -> bool:
        status = kubectl.get("-n", NAMESPACE, "checkpoint", "before-the-upgrade").get("status", {})
        return bool(status.get("phase") == "Present")

    _wait(present, "the checkpoint is not complete; see kubectl -n penstock-demo describe checkpoint")


def _words(status: dict[str, Any]) -> str:
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    stalled = conditions.get("Stalled", {})
    told = stalled if stalled.get("status") == "True" else conditions.get("Reconciling", {})
    return " ".join(part for part in (status.get("state", "Pending"), told.get("message", "")) if part)


def _watch_windows(kubectl: Kubectl) -> None:
    """The first figures that the job has committed, beside the plain-Python oracle's."""
    for _ in range(4):
        command = ["exec", "deploy/tools", "--", "python3", "-m", "demo", "progress", f"--bootstrap={_BOOTSTRAP}"]
        line = kubectl("-n", NAMESPACE, *command, check=False).strip()
        print(f"  {line or 'the topics are not there yet'}", flush=True)
        time.sleep(2)


def _wait(done: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _LIMIT_SECONDS
    while not done():
        if time.monotonic() > deadline:
            sys.exit(otherwise)
        time.sleep(1)


_NEXT = """\
Type next:
  export KUBECONFIG={kubeconfig}
  kubectl config set-context --current --namespace=penstock-demo
  kubectl get streamjobs
  kubectl get checkpoints -o wide
  kubectl patch streamjob flights --type=merge -p '{{"spec":{{"state":"Stopped"}}}}'        # stop it with a checkpoint
  kubectl patch streamjob flights --type=merge -p '{{"spec":{{"state":"Running"}}}}'        # start it from that one
  kubectl patch streamjob flights --type=merge \\
    -p '{{"spec":{{"startFrom":{{"latest":null,"checkpoint":{{"name":"before-the-upgrade"}}}}}}}}'   # back to that one
  kubectl exec deploy/tools -- python3 -m demo progress                                  # committed windows so far
  make down                                                                              # take everything away"""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd)}\n{error.stderr}")
    except json.JSONDecodeError as error:
        sys.exit(f"kubectl answered something that is not JSON: {error}")
