"""What all tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Properties are bounded by their number of examples: a busy machine is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# What a developer happens to have installed does not serve the tests' workloads; tests of programs say otherwise.
os.environ.setdefault("INFERENCEKEY_LOCAL_PROGRAMS", "0")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
