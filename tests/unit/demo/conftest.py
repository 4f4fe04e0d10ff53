from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from demo import data, oracle

if TYPE_CHECKING:
    from demo.data import Flight
    from demo.oracle import Key, Window


@pytest.fixture(scope="session")
def flights() -> list[Flight]:
    """The real data; they are no part of the repository."""
    if not data.path().exists():
        pytest.skip(f"{data.path()} is not there: `python3 -m demo fetch` gets it")
    return data.load()


@pytest.fixture(scope="session")
def expected(flights: list[Flight]) -> dict[Key, Window]:
    return oracle.windows(flights)
