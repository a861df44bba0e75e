"""What all tests share."""

from __future__ import annotations

import pytest
from hypothesis import settings

# Properties are bounded by their number of examples: a busy machine is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
