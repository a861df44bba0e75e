"""One platform with a real engine for all examples."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from platforms.up import Up

from inferencekey import ManagementClient, WorkloadSpec


@pytest.fixture(scope="package")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("platform")) as platform:
        with ManagementClient(
            base_url=platform.base_url, project="acme", sdk_token=platform.sdk_token
        ) as mgmt:
            mgmt.ensure(
                WorkloadSpec(name="support-bot", slug="support-bot", model="m", backend="llamacpp")
            )
            mgmt.wait_until_ready("support-bot", silent=True)
        yield platform
