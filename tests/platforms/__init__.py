"""A running local platform and a plain HTTP client, for tests of its HTTP interface."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import attrs

from inferencekey.local import LocalPlatform

__all__ = ["Answer", "Running", "running", "workload_body"]


def workload_body(slug: str = "support-bot", **fields: Any) -> dict[str, Any]:
    """Return the body of a create.

    No stand-in serves forecasts, so no engine is started unless a test sets ``task_type``.
    """
    required = {
        "name": slug,
        "slug": slug,
        "task_type": "forecast",
        "backend": "vllm",
        "model_name": "acme/model",
    }
    return {**required, **fields}


@attrs.frozen
class Answer:
    status: int
    headers: Any
    body: Any


@attrs.frozen
class Running:
    platform: LocalPlatform
    http: aiohttp.ClientSession
    sdk: str
    live: str

    async def call(
        self, method: str, path: str, *, token: str | None = None, **options: Any
    ) -> Answer:
        """Send one request. The body of the response is parsed as JSON if possible."""
        headers = {**options.pop("headers", {})}
        if token is None:
            token = self.live if path.startswith("/endpoint/") else self.sdk
        if token:
            headers["Authorization"] = f"Bearer {token}"
        async with self.http.request(method, path, headers=headers, **options) as response:
            text = await response.text()
            try:
                body = json.loads(text) if text else None
            except ValueError:
                body = text
            return Answer(response.status, response.headers, body)

    async def create(
        self, slug: str = "support-bot", project: str = "acme", **fields: Any
    ) -> dict[str, Any]:
        answer = await self.call(
            "POST", f"/api/projects/{project}/workloads", json=workload_body(slug, **fields)
        )
        assert answer.status == 201, answer
        return answer.body

    async def ready(self, slug: str, project: str = "acme") -> list[dict[str, Any]]:
        """Return the readiness events of a workload, up to the last one."""
        path = f"/api/projects/{project}/workloads/{slug}/readiness-events"
        async with self.http.get(path, headers={"Authorization": f"Bearer {self.sdk}"}) as response:
            assert response.status == 200, await response.text()
            text = await response.text()
        return [
            json.loads(line.removeprefix("data: "))
            for line in text.splitlines()
            if line.startswith("data: ")
        ]

    async def serve(self, slug: str, task_type: str) -> None:
        """Create a workload and wait until it is ready."""
        await self.create(slug, task_type=task_type)
        events = await self.ready(slug)
        assert events[-1]["phase"] == "ready", events


@asynccontextmanager
async def running(data_dir: Path, **options: Any) -> AsyncIterator[Running]:
    """Run a platform on a free port, with tokens for the project ``acme`` and a client."""
    async with (
        LocalPlatform(data_dir=data_dir, port=0, **options) as platform,
        aiohttp.ClientSession(platform.base_url) as http,
    ):
        yield Running(
            platform, http, platform.mint_sdk_token("acme"), platform.mint_live_token("acme/*")
        )
