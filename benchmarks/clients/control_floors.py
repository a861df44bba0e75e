"""The floors of ``ensure``: the least network traffic, and the least parsing.

``ListFloor`` requests the list of the project's workloads and reads the response: the share of the
network and of aiohttp. ``ParsedFloor`` also parses it and finds the slug. Neither compares
anything. ``ensure_all`` of the project ``empty`` is the list and 200 creates, eight in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import aiohttp
import orjson

from benchmarks.wire import ENSURED, ENSURED_NUMBER, TOKEN, workload, workload_slug

CREATE = ("name", "slug", "task_type", "backend", "model_name", "description", "config")


class ListFloor:
    """Requests the list and reads the response."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._headers = {"Authorization": f"Bearer {TOKEN}"}

    async def _list(self, project: str) -> bytes:
        async with self._session.get(
            f"{self._url}/api/projects/{project}/workloads", headers=self._headers
        ) as response:
            return await response.read()

    async def ensure(self, project: str) -> str:
        body = await self._list(project)
        return workload_slug(ENSURED_NUMBER) if body else ""

    async def ensure_all(self, project: str) -> int:
        if project != "empty":
            await self._list(project)
            return ENSURED
        project = f"empty-{uuid4().hex}"
        await self._list(project)
        numbers = iter(range(ENSURED))
        created = await asyncio.gather(*(self._create(project, numbers) for _ in range(8)))
        return sum(created)

    async def _create(self, project: str, numbers: Iterator[int]) -> int:
        count = 0
        for number in numbers:
            declared = workload(0, number)
            body = orjson.dumps({name: declared[name] for name in CREATE})
            headers = self._headers | {"Content-Type": "application/json"}
            url = f"{self._url}/api/projects/{project}/workloads"
            async with self._session.post(url, data=body, headers=headers) as response:
                orjson.loads(await response.read())
            count += 1
        return count

    async def close(self) -> None:
        await self._session.close()


class ParsedFloor(ListFloor):
    """Also parses the response and finds the slug."""

    async def ensure(self, project: str) -> str:
        wanted = workload_slug(ENSURED_NUMBER)
        found: list[str] = [
            one["slug"] for one in orjson.loads(await self._list(project)) if one["slug"] == wanted
        ]
        return found[0]

    async def ensure_all(self, project: str) -> int:
        if project == "empty":
            return await super().ensure_all(project)
        by_slug = {one["slug"]: one for one in orjson.loads(await self._list(project))}
        return sum(workload_slug(number) in by_slug for number in range(ENSURED))
