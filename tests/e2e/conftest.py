"""One platform for all end-to-end tests, started by the command itself.

Each test has workloads of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from platforms.up import Up


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("platform")) as platform:
        yield platform
