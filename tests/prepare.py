"""Puts this checkout's CRDs, policies and operator into the test cluster, and waits until the operator is up.

What an end-to-end test that was killed has left goes now, while that operator works: the next may bring their own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from demo.host import Kubectl  # noqa: E402 - the path comes first
from tests.leftovers import LABS, remove  # noqa: E402


def main() -> int:
    """Apply and wait."""
    kubectl = Kubectl.find()
    kubectl.check_context()
    kubectl.install_operator()
    for each in kubectl.get("namespaces")["items"]:
        if each["metadata"]["name"].startswith(LABS):
            remove(kubectl, each["metadata"]["name"])
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd)}: {error.stderr}")
