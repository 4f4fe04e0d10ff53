"""The list that `tests/unit/api/test_ownership.py` goes through is what the Flink of the image has."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.options import read

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(150)]
LISTED = Path(__file__).parents[2] / "data" / "flink-options" / "2.3.txt"


def test_every_option_of_the_images_flink_is_listed(kubectl: Callable[..., Any]) -> None:
    namespace = f"penstock-options-{secrets.token_hex(3)}"
    kubectl("create", "namespace", namespace)
    try:
        assert read(kubectl, namespace, "penstock.dev/flink-demo:2.3.0") == LISTED.read_text()
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")
