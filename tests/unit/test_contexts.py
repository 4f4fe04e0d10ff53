"""Whatever deletes what it finds asks first whether the cluster was made for that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from demo.host import ALLOWED_CONTEXTS, Kubectl
from tests.conftest import refuse_any_other_cluster

FOREIGN = ["production", "", "kind-penstock-production", "Penstock-local"]


def kubeconfig(folder: Path, context: str) -> str:
    file = folder / "kubeconfig"
    file.write_text(f'apiVersion: v1\nkind: Config\ncurrent-context: "{context}"\n')
    return str(file)


@pytest.mark.parametrize("context", FOREIGN)
def test_the_tests_end_in_any_other_cluster(tmp_path: Path, context: str) -> None:
    with pytest.raises(pytest.exit.Exception, match="throw-away clusters only"):
        refuse_any_other_cluster(kubeconfig(tmp_path, context))


@pytest.mark.parametrize("context", ALLOWED_CONTEXTS)
def test_they_run_in_those_that_were_made_for_them(tmp_path: Path, context: str) -> None:
    refuse_any_other_cluster(kubeconfig(tmp_path, context))


def asks(folder: Path, context: str) -> None:
    """`make demo` and `tests/prepare.py` ask kubectl; a script stands in for it."""
    program = folder / "kubectl"
    program.write_text(f"#!/bin/sh\necho '{context}'\n")
    program.chmod(0o755)
    Kubectl(str(program), kubeconfig(folder, context)).check_context()


@pytest.mark.parametrize("context", FOREIGN)
def test_the_demo_is_not_installed_in_any_other_cluster(
    tmp_path: Path, context: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PENSTOCK_ALLOW_CONTEXT", raising=False)
    with pytest.raises(SystemExit, match="PENSTOCK_ALLOW_CONTEXT="):
        asks(tmp_path, context)


def test_unless_the_user_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PENSTOCK_ALLOW_CONTEXT", "staging")
    asks(tmp_path, "staging")
    with pytest.raises(SystemExit):
        asks(tmp_path, "production")
