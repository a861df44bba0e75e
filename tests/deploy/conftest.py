from __future__ import annotations

from collections.abc import Iterator

import pytest
from faults.plane import Plane


@pytest.fixture
def plane() -> Iterator[Plane]:
    with Plane() as server:
        yield server
