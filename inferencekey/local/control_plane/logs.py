"""An engine's log over the control plane: an extra of the local platform.

``GET /api/projects/{project}/workloads/{slug}/logs?lines=N&after=OFFSET`` answers
``{"lines": ["…"], "next": 12345, "engine": "llama-server"}``.
"""

from __future__ import annotations

from typing import Final

import anyio.to_thread
import orjson
from aiohttp import web

from inferencekey._core.slugs import canonical_slug
from inferencekey.local.engines.engine import Choose
from inferencekey.local.engines.log_text import LogPart, read_after, read_tail
from inferencekey.local.errors import EngineError
from inferencekey.local.http.authorisation import Need, authorise
from inferencekey.local.http.errors import Refused
from inferencekey.local.http.guard import bearer
from inferencekey.local.store.store import Store
from inferencekey.local.store.tokens import READERS

__all__ = ["Logs"]

DEFAULT_LINES: Final = 100
MOST_LINES: Final = 1000
MOST_REPLICAS: Final = 1000
MOST_BYTES: Final = 2**53


class Logs:
    """The route of the logs.

    Args:
        store: tokens and workloads.
        choose: which engine serves a workload, and where it writes.
    """

    def __init__(self, store: Store, choose: Choose) -> None:
        self._store = store
        self._choose = choose

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to an application."""
        return [web.get("/api/projects/{project}/workloads/{slug}/logs", self.read)]

    async def read(self, request: web.Request) -> web.Response:
        """``GET …/logs``: the last ``lines``; with ``after``, the first ones since that offset. ``replica`` counts from 0."""
        project = request.match_info["project"]
        text = bearer(request)
        token = None if text is None else self._store.token(text)
        refusal = authorise(token, Need("sdk", project, READERS))
        if refusal is not None:
            raise Refused(refusal.status, refusal.message, code=refusal.code)
        lines = _number(request, "lines", DEFAULT_LINES, 1, MOST_LINES)
        replica = _number(request, "replica", 0, 0, MOST_REPLICAS)
        after = _number(request, "after", -1, 0, MOST_BYTES)
        slug = canonical_slug(request.match_info["slug"])
        workload = self._store.workload(project, slug)
        if workload is None:
            raise Refused(404, f"no workload {slug!r} in the project {project!r}")

        def read() -> web.Response:
            try:
                choice = self._choose(workload)
            except EngineError:
                return _answer(LogPart((), 0), None)  # nothing serves it: nobody wrote
            place = choice.log(replica)
            if place is None:
                return _answer(LogPart((), 0), None)
            engine = (
                choice.engine
                if choice.installed
                else f"{choice.engine} (shared with other workloads)"
            )
            if after < 0:
                return _answer(
                    read_tail(place.path, lines, start=place.start, secrets=place.secrets), engine
                )
            return _answer(
                read_after(place.path, after, lines, start=place.start, secrets=place.secrets),
                engine,
            )

        return await anyio.to_thread.run_sync(read)


def _answer(part: LogPart, engine: str | None) -> web.Response:
    body = {"lines": part.lines, "next": part.next, "engine": engine}
    return web.Response(body=orjson.dumps(body), content_type="application/json")


def _number(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    given = request.query.get(name)
    if given is None:
        return default
    if not (
        given.isascii() and given.isdigit() and len(given) < 20 and least <= int(given) <= most
    ):
        raise Refused(400, f"{name} must be a number from {least} to {most}; got {given[:40]!r}")
    return int(given)
