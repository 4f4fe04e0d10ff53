from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DEMO = sorted((ROOT / "manifests" / "demo").glob("*.yaml"))
EXAMPLE = ROOT / "manifests" / "examples" / "flights.yaml"


def objects(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def test_the_example_runs_the_script_that_was_measured() -> None:
    [job] = [found for found in objects(EXAMPLE) if found["kind"] == "StreamJob"]
    assert job["spec"]["job"]["sql"]["script"] == (ROOT / "demo" / "flights.sql").read_text(encoding="utf-8")


def test_the_store_and_the_job_sign_in_with_the_keys_of_the_server() -> None:
    [root] = [found for found in objects(ROOT / "manifests/demo/s3.yaml") if found["kind"] == "Secret"]
    copies = [found for found in objects(EXAMPLE) if found["kind"] == "Secret"]
    assert len(copies) == 2
    assert all(copy["stringData"] == root["stringData"] for copy in copies)


@pytest.mark.parametrize("file", DEMO, ids=lambda file: file.name)
def test_every_pod_fits_the_restricted_pod_security_standard(file: Path) -> None:
    for found in objects(file):
        pod = found.get("spec", {}).get("template", {}).get("spec")
        if pod is None:
            continue
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"] + pod.get("initContainers", []):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
