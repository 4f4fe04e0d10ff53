"""kubectl for the programs that run beside the cluster, not in it: the demo and the preparation of the tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
ALLOWED_CONTEXTS: Final = ("penstock-local", "kind-penstock")
"""Clusters that were made to be thrown away; another one must be named by PENSTOCK_ALLOW_CONTEXT."""
_MANIFESTS: Final = ("crds", "manifests/operator", "manifests/admission")


@dataclass(frozen=True)
class Kubectl:
    """kubectl with a kubeconfig."""

    program: str
    kubeconfig: str

    @classmethod
    def find(cls) -> Kubectl:
        """The machine's kubectl, else the one that the cluster was built with; the cluster that `cluster` chose."""
        built = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "penstock" / "bin" / "kubectl"
        asked = subprocess.run(
            [sys.executable, "-m", "cluster", "kubeconfig"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return cls(shutil.which("kubectl") or str(built), asked.stdout.strip())

    def check_context(self) -> None:
        """Refuse a cluster that was not made for this, unless the user has named it."""
        context = self("config", "current-context").strip()
        if context not in (*ALLOWED_CONTEXTS, os.environ.get("PENSTOCK_ALLOW_CONTEXT")):
            sys.exit(
                f"The context {context} is not one of {', '.join(ALLOWED_CONTEXTS)}. If this cluster may be used, set "
                f"PENSTOCK_ALLOW_CONTEXT={context}."
            )

    def __call__(self, *arguments: str, given: str | None = None, check: bool = True) -> str:
        """Run kubectl and answer its standard output."""
        done = subprocess.run(
            [self.program, "--kubeconfig", self.kubeconfig, *arguments],
            input=given,
            capture_output=True,
            text=True,
            check=check,
        )
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        """`kubectl get … -o json`; an empty object when there is none."""
        text = self("get", *arguments, "-o", "json", "--ignore-not-found")
        return dict(json.loads(text)) if text.strip() else {}

    def apply(self, *files: str) -> None:
        """Server-side apply of files of the repository."""
        for name in files:
            self("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / name))

    def install_operator(self) -> None:
        """CRDs, policies and operator of this checkout; a pod that is there is made anew, its image may be another."""
        found = self("-n", "penstock-system", "get", "deployment", "penstock", "--ignore-not-found", "-o", "name")
        self.apply(*_MANIFESTS)
        self("wait", "--for=condition=Established", "--timeout=30s", "-f", str(ROOT / "crds"))
        if found.strip():
            self("-n", "penstock-system", "rollout", "restart", "deployment/penstock")
        self("-n", "penstock-system", "rollout", "status", "deployment/penstock", "--timeout=120s")
