"""An engine's log over the control plane: an extra of the local platform.

``GET /api/projects/{project}/workloads/{slug}/logs?lines=N&after=OFFSET`` answers
``{"lines": ["…"], "next": 12345, "engine": "llama-server"}``.
"""

from __future__ import annotations

from typing import Final

import anyio.to_thread
from aiohttp import web

from inferencekey.local.engines.choose import Choose
from inferencekey.local.engines.log_text import LogPart, read_after, read_tail
from inferencekey.local.engines.programs.running import secrets_of
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
        store: tokens and workloads.
        choose: which engine serves a workload, and where it writes.
    """

    def __init__(self, store: Store, choose: Choose) -> None:
        self._admission = Admission(store)
        self._choose = choose

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to an application."""
        return [web.get("/api/projects/{project}/workloads/{slug}/logs", self.read)]

    async def read(self, request: web.Request) -> web.Response:
        """``GET …/logs``: the last ``lines``; with ``after``, the first ones since that offset. ``replica`` counts from 0."""
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
            return LogPart((), 0), None  # nothing serves it: nobody wrote
        place, secrets = choice.log(replica), secrets_of(workload)
        if place is None:
            return LogPart((), 0), None
        engine = choice.engine
        if not choice.installed:
            engine = f"{engine} (shared with other workloads)"
        if after is None:
            return read_tail(place.path, lines, start=place.start, secrets=secrets), engine
        return read_after(place.path, after, lines, start=place.start, secrets=secrets), engine


def _integer(request: web.Request, name: str, *, minimum: int, maximum: int) -> int | None:
    """Return a parameter of the query; ``None`` when it is not there.

    Raises:
        HTTPRefusal: 400 when it is not an integer from *minimum* to *maximum*.
    """
    given = request.query.get(name)
    if given is None:
        return None
    # `int` alone would also take signs, spaces, underscores and digits of other scripts.
    is_integer = given.isascii() and given.isdigit() and len(given) < 20
    if not is_integer or not minimum <= int(given) <= maximum:
        message = f"{name} must be a number from {minimum} to {maximum}; got {given[:40]!r}"
        raise HTTPRefusal(400, message)
    return int(given)
