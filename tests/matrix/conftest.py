"""The two modes that the matrix runs in: with our subclasses of aiohttp's classes, and without."""

from __future__ import annotations

import pytest


@pytest.fixture
def plain(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a test runs on plain aiohttp classes; parametrize it indirectly."""
    monkeypatch.setenv("INFERENCEKEY_PLAIN_AIOHTTP", "1" if request.param else "0")
    return bool(request.param)
