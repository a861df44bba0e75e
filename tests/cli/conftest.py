from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from platforms.background import platform_in_background

from cli.shell import Shell
from inferencekey.local import LocalPlatform


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPlatform]:
    """One platform for the tests of a module."""
    with platform_in_background(tmp_path_factory.mktemp("data")) as found:
        yield found


@pytest.fixture
def shell(platform: LocalPlatform, tmp_path: Path) -> Iterator[Shell]:
    """A shell on the platform, which has no workloads yet."""
    made = Shell.on(platform, tmp_path / "here")
    yield made
    made.clear()
