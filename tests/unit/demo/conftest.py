from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from demo import data, oracle

if TYPE_CHECKING:
    from demo.data import Flight
    from demo.oracle import Key, Window


@pytest.fixture(scope="session")
def flights() -> list[Flight]:
    """The real data; they are no part of the repository, and are fetched into the cache the first time."""
    data.fetch()
    return data.load()


@pytest.fixture(scope="session")
def expected(flights: list[Flight]) -> dict[Key, Window]:
    return oracle.windows(flights)
