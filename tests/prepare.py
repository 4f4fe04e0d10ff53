"""Puts this checkout's CRDs, policies and operator into the test cluster, and waits until the operator is up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from demo.host import Kubectl  # noqa: E402 - the path comes first


def main() -> int:
    """Apply and wait."""
    kubectl = Kubectl.find()
    kubectl.check_context()
    kubectl.install_operator()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd)}: {error.stderr}")
