"""What is common to the unit tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

from penstock import clock
from penstock import world as world_module
from tests.unit.fakes import Manifest
from tests.unit.stage import Stage, fresh

# No deadline for an example: a busy machine is no fault of the code.
settings.register_profile("penstock", deadline=None)
settings.load_profile("penstock")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stage]:
    """Sets a stage; its clock and its object store are the ones that are used."""

    def begin(stored: Manifest | None = None, *others: Manifest, keys: dict[str, Any] | None = None) -> Stage:
        made = Stage(fresh() if stored is None else stored, *others, keys=keys)
        monkeypatch.setattr(clock, "now", lambda: made.now)
        monkeypatch.setattr(world_module, "ObjectStore", lambda _access: made.s3)
        return made

    return begin
