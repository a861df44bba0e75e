"""A control plane over real sockets that can refuse, lose responses, and stall."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from faults.calls import TOKEN
from faults.server import Connection, FaultServer, Request
from inferencekey import AsyncManagementClient, ManagementClient, RetryPolicy

__all__ = ["Plane", "call", "ready"]


def ready(*phases: str) -> list[dict[str, Any]]:
    """Return the events that lead to ``ready``."""
    return [{"phase": phase, "message": f"it is {phase}"} for phase in (*phases, "ready")]


class Plane(FaultServer):
    """One platform with any number of projects. Its attributes make it misbehave.

    Attributes:
        rows: the stored workloads by id.
        refusals: status by ``(method, slug)``, or by ``("LIST", project)``.
        before: called with every request before it is processed.
        lose: how many of the next creates and updates are processed but get no response.
        honours_keys: whether a repeated ``Idempotency-Key`` gets the first response again.
        readiness: the events by slug; ``None`` sends none and keeps the connection open.
        logs: the lines by slug, or a status.
        stall: methods that never get a response.
        most: the highest number of creates at the same time.
        ended: methods of requests whose client left before the response.
    """

    def __init__(self) -> None:
        super().__init__(self._plane)
        self.rows: dict[str, dict[str, Any]] = {}
        self.refusals: dict[tuple[str, str], int] = {}
        self.before: Callable[[Request], None] = lambda request: None
        self.lose = 0
        self.honours_keys = True
        self.readiness: dict[str, list[dict[str, Any]] | None] = {}
        self.logs: dict[str, list[str] | int] = {}
        self.stall: set[str] = set()
        self.most = 0
        self.ended: Counter[str] = Counter()
        self._answers: dict[str, dict[str, Any]] = {}
        self._creating = 0
        self._made = 0

    def add(self, slug: str, project: str = "acme", **fields: Any) -> dict[str, Any]:
        """Store a workload."""
        taken = {row["slug"] for row in self.rows.values() if row["project"] == project}
        free = next(s for s in (slug, *(f"{slug}-{n}" for n in range(1, 99))) if s not in taken)
        self._made += 1  # an id is not used again after its workload was deleted
        id = f"w-{self._made}"
        row = {
            "name": slug,
            "task_type": "text2text",
            "backend": "ollama",
            "model_name": "m",
            **fields,
        }
        self.rows[id] = {**row, "id": id, "slug": free, "project": project}
        return self.rows[id]

    def slugs(self, project: str = "acme") -> list[str]:
        return sorted(row["slug"] for row in self.rows.values() if row["project"] == project)

    def count(self, method: str, end: str = "") -> int:
        """Return how many requests of a method came, to a path that ends so."""
        return sum(
            r.method == method and urlsplit(r.path).path.endswith(end) for r in self.requests
        )

    async def _plane(self, connection: Connection, request: Request) -> None:
        self.before(request)
        if request.method in self.stall:
            if await connection.until_gone():
                self.ended[request.method] += 1
            return
        url = urlsplit(request.path)
        match url.path.strip("/").split("/"):
            case ["api", "projects", project, "workloads"]:
                await self._collection(connection, request, project)
            case ["api", "projects", _, "workloads", slug, "readiness-events"]:
                await self._events(connection, slug)
            case ["api", "projects", _, "workloads", slug, "logs"]:
                await self._log(connection, slug, parse_qs(url.query))
            case ["api", "workloads", id]:
                await self._member(connection, request, id)
            case _:
                await _answer(connection, 404, {"error": "no such route"})

    async def _collection(self, connection: Connection, request: Request, project: str) -> None:
        if request.method == "GET":
            status = self.refusals.get(("LIST", project))
            rows = [row for row in self.rows.values() if row["project"] == project]
            await _answer(connection, status or 200, {"error": "refused"} if status else rows)
            return
        body = request.json
        status = self.refusals.get(("POST", body["slug"]))
        if status:
            await _answer(connection, status, {"error": f"no {body['slug']} here"})
            return
        self._creating += 1
        self.most = max(self.most, self._creating)
        await asyncio.sleep(0.01)
        self._creating -= 1
        key = request.headers["idempotency-key"]
        row = self._answers.get(key) if self.honours_keys else None
        if row is None:
            row = self._answers[key] = self.add(project=project, **body)
        await self._changed(connection, 201, row)

    async def _member(self, connection: Connection, request: Request, id: str) -> None:
        row = self.rows.get(id)
        if row is None:
            await _answer(connection, 404, {"error": "gone"})
        elif status := self.refusals.get((request.method, row["slug"])):
            await _answer(connection, status, {"error": "refused"})
        elif request.method == "DELETE":
            del self.rows[id]
            await connection.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            row.update(request.json)
            await self._changed(connection, 200, row)

    async def _changed(self, connection: Connection, status: int, row: dict[str, Any]) -> None:
        if self.lose:
            self.lose -= 1
            connection.reset()
        else:
            await _answer(connection, status, row)

    async def _events(self, connection: Connection, slug: str) -> None:
        if slug not in self.readiness:
            await _answer(connection, 404, {"error": f"no workload {slug}"})
            return
        await connection.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        )
        events = self.readiness[slug] or []
        for event in events:
            await connection.send(b"data: " + json.dumps(event).encode() + b"\n\n")
        if (
            not events or events[-1]["phase"] not in ("ready", "error")
        ) and await connection.until_gone(30):
            self.ended["events"] += 1
        connection.close()

    async def _log(self, connection: Connection, slug: str, query: dict[str, list[str]]) -> None:
        found = self.logs.get(slug, 404)
        if isinstance(found, int):
            if not found:
                await connection.until_gone(30)
                return
            await _answer(connection, found, {"error": "no logs here"})
            return
        after = int(query.get("after", ["0"])[0])
        lines = found[after:][-int(query["lines"][0]) :]
        await _answer(
            connection, 200, {"lines": lines, "next": len(found), "engine": "llama-server"}
        )


async def _answer(connection: Connection, status: int, body: Any) -> None:
    data = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    await connection.send(head.encode() + data)


def call(
    way: str,
    plane: Plane,
    method: str,
    *arguments: Any,
    project: str | None = "acme",
    retry: RetryPolicy | None = None,
    **options: Any,
) -> Any:
    """Call a method of a new client, ``async`` or ``sync``. It must leave no task."""
    ours: dict[str, Any] = {
        "base_url": plane.url,
        "project": project,
        "sdk_token": TOKEN,
        "retry": retry,
    }
    if way == "sync":
        with ManagementClient(**ours) as management:
            return getattr(management, method)(*arguments, **options)

    async def awaited() -> Any:
        async with AsyncManagementClient(**ours) as management:
            try:
                return await getattr(management, method)(*arguments, **options)
            finally:
                assert asyncio.all_tasks() == {asyncio.current_task()}

    return asyncio.run(awaited())
