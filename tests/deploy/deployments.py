"""What the tests of the deploy library share: a manifest's text, and one call in either style."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from faults.calls import TOKEN
from faults.plane import Plane

from inferencekey import AsyncManagementClient, ManagementClient, RetryPolicy
from inferencekey.deploy import AsyncDeployment, Deployment
from inferencekey.manifest import Lock

__all__ = ["call", "lock", "workload", "write"]


def workload(slug: str, **fields: str) -> str:
    """One workload of a TOML manifest."""
    values = {"slug": slug, "model": "m", "backend": "ollama", **fields}
    lines = (f"{name} = {json.dumps(value)}\n" for name, value in values.items())
    return "[[workloads]]\n" + "".join(lines)


def write(folder: Path, *workloads: str, name: str = "inferencekey.toml") -> Path:
    """Write a manifest."""
    path = folder / name
    path.write_text("\n".join(workloads), encoding="utf-8")
    return path


def lock(folder: Path) -> dict[str, str]:
    """The ids that the lock file records, by slug."""
    entries = Lock.read(folder / "inferencekey.lock").entries
    return {entry.slug: entry.id for entry in entries}


def call(way: str, plane: Plane, method: str, *arguments: Any, **options: Any) -> Any:
    """Call a method of a deployment on a client of its own, ``async`` or ``sync``."""
    client: dict[str, Any] = {
        "base_url": plane.url,
        "project": "acme",
        "sdk_token": TOKEN,
        "retry": RetryPolicy(base=0.01),
    }
    if way == "sync":
        with ManagementClient(**client) as mgmt:
            return getattr(Deployment(mgmt), method)(*arguments, **options)

    async def awaited() -> Any:
        async with AsyncManagementClient(**client) as mgmt:
            try:
                return await getattr(AsyncDeployment(mgmt), method)(*arguments, **options)
            finally:
                assert asyncio.all_tasks() == {asyncio.current_task()}

    return asyncio.run(awaited())
