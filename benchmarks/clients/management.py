"""The management clients: ours and the official one.

The official one has no ``ensure_all``, so ``ensure`` is called in a loop.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import inferencekey
from benchmarks.wire import ENSURED, ENSURED_NUMBER, TOKEN, workload

WorkloadSpec: Any = inferencekey.WorkloadSpec


def _spec(number: int) -> Any:
    declared = workload(0, number)
    return WorkloadSpec(
        name=declared["name"],
        slug=declared["slug"],
        model=declared["model_name"],
        backend=declared["backend"],
        command=declared["config"]["command"],
        description=declared["description"],
    )


SPECS = [_spec(number) for number in range(ENSURED)]


def _project(project: str) -> str:
    return f"empty-{uuid4().hex}" if project == "empty" else project


class ManagementAsync:
    """``AsyncManagementClient``."""

    def __init__(self, url: str) -> None:
        self._client = inferencekey.AsyncManagementClient(base_url=url, sdk_token=TOKEN)

    async def ensure(self, project: str) -> str:
        return (await self._client.ensure(SPECS[ENSURED_NUMBER], project=project)).workload_slug

    async def ensure_all(self, project: str) -> int:
        return len(await self._client.ensure_all(SPECS, project=_project(project)))

    async def close(self) -> None:
        await self._client.aclose()


class ManagementSync:
    """``ManagementClient``."""

    def __init__(self, url: str) -> None:
        self._client: Any = inferencekey.ManagementClient(base_url=url, sdk_token=TOKEN)

    def ensure(self, project: str) -> str:
        slug: str = self._client.ensure(SPECS[ENSURED_NUMBER], project=project).workload_slug
        return slug

    def ensure_all(self, project: str) -> int:
        project = _project(project)
        if not hasattr(self._client, "ensure_all"):
            return len([self._client.ensure(spec, project=project) for spec in SPECS])
        return len(self._client.ensure_all(SPECS, project=project))

    def close(self) -> None:
        if hasattr(self._client, "close"):
            self._client.close()
