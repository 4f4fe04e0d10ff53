"""The real `_metadata` files of tests/data/metadata, each with what was on the disk when Flink wrote it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[3] / "data" / "metadata"


@dataclass(frozen=True)
class Real:
    name: str
    data: bytes
    facts: dict[str, Any]

    @property
    def directory(self) -> str:
        return str(self.facts["directory"])


def load() -> list[Real]:
    return [
        Real(each.parent.name, (each.parent / "_metadata").read_bytes(), json.loads(each.read_text()))
        for each in sorted(FOLDER.glob("*/facts.json"))
    ]


REAL = load()
