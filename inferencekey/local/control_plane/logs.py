"""The log of a workload's engine. Only the local platform has this route.

The response to ``GET /api/projects/{project}/workloads/{slug}/logs?lines=N&after=OFFSET`` is
``{"lines": ["…"], "next": 12345, "engine": "llama-server"}``.
"""

from __future__ import annotations

from typing import Final

import anyio.to_thread
from aiohttp import web

from inferencekey.local.engines.engine import Choose
from inferencekey.local.engines.log_text import LogPart, read_after, read_tail
from inferencekey.local.errors import EngineError
from inferencekey.local.http.admission import Admission
from inferencekey.local.http.authorisation import READERS
from inferencekey.local.http.errors import HTTPRefusal, json_response
from inferencekey.local.records import StoredWorkload
from inferencekey.local.store import Store

__all__ = ["EngineLogs"]

DEFAULT_LINES: Final = 100
MAX_LINES: Final = 1000
MAX_REPLICA: Final = 1000
MAX_OFFSET: Final = 2**53


class EngineLogs:
    """The route of the logs.

    Args:
        store: the tokens and the workloads.
        choose: returns the engine of a workload, which knows where its log is.
    """

    def __init__(self, store: Store, choose: Choose) -> None:
        self._admission = Admission(store)
        self._choose = choose

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to an application."""
        return [web.get("/api/projects/{project}/workloads/{slug}/logs", self.read)]

    async def read(self, request: web.Request) -> web.Response:
        """``GET …/logs``: the last lines of the log, or the first lines after an offset.

        Parameters of the query are ``lines`` (how many), ``after`` (the offset in bytes, from the
        field ``next`` of an earlier response) and ``replica`` (which engine, counted from 0).
        """
        self._admission.admit_to_project(request, READERS)
        lines = _integer(request, "lines", minimum=1, maximum=MAX_LINES)
        replica = _integer(request, "replica", minimum=0, maximum=MAX_REPLICA)
        after = _integer(request, "after", minimum=0, maximum=MAX_OFFSET)
        workload = self._admission.find_workload(request)
        part, engine = await anyio.to_thread.run_sync(
            self._read,
            workload,
            DEFAULT_LINES if lines is None else lines,
            replica or 0,
            after,
        )
        return json_response({"lines": part.lines, "next": part.next, "engine": engine})

    def _read(
        self, workload: StoredWorkload, lines: int, replica: int, after: int | None
    ) -> tuple[LogPart, str | None]:
        """Return a part of the log of one of the workload's engines, and the engine's name."""
        try:
            choice = self._choose(workload)
        except EngineError:
            return LogPart((), 0), None  # No engine can serve the workload, so there is no log.
        place = choice.log(replica)
        if place is None:
            return LogPart((), 0), None
        engine = choice.engine
        if not choice.installed:
            engine = f"{engine} (shared with other workloads)"
        if after is None:
            part = read_tail(place.path, lines, start=place.start, secrets=place.secrets)
        else:
            part = read_after(place.path, after, lines, start=place.start, secrets=place.secrets)
        return part, engine


def _integer(request: web.Request, name: str, *, minimum: int, maximum: int) -> int | None:
    """Return a parameter of the query as an integer; ``None`` if it is missing.

    Raises:
        HTTPRefusal: 400 if it is not an integer from *minimum* to *maximum*.
    """
    given = request.query.get(name)
    if given is None:
        return None
    # `int` alone would also accept signs, spaces, underscores and digits of other scripts.
    is_integer = given.isascii() and given.isdigit() and len(given) < 20
    if not is_integer or not minimum <= int(given) <= maximum:
        message = f"{name} must be an integer from {minimum} to {maximum}; got {given[:40]!r}"
        raise HTTPRefusal(400, message)
    return int(given)
