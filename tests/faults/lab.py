"""A fault server that can be healed, to test a client during a fault and after it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from faults.scripts import Fault, good, good_body
from faults.server import Connection, FaultServer, Request

__all__ = ["Lab"]


class Lab(FaultServer):
    """Sends good responses, except to the requests that get the fault, until it is healed.

    Args:
        fault: what those requests get.
        on_accept: what happens to a connection before any request.
        to: which requests get the fault.
        times: how many of them; ``None`` for all.
    """

    def __init__(
        self,
        fault: Fault = good,
        *,
        on_accept: Callable[[Connection], Awaitable[None]] | None = None,
        to: Callable[[Request], bool] = lambda request: True,
        times: int | None = None,
    ) -> None:
        super().__init__(self._answer)
        self._fault = fault
        self._on_accept = on_accept
        self._to = to
        self._times = times
        self.healed = False
        self.hits: list[Request] = []
        """The requests that got the fault."""
        self.carriers: list[Connection] = []
        """The connection of each request."""

    async def _connection(self, connection: Connection) -> None:
        if self._on_accept is not None and not self.healed:
            await self._on_accept(connection)
        else:
            await super()._connection(connection)

    async def _answer(self, connection: Connection, request: Request) -> None:
        self.carriers.append(connection)
        fault = good
        if (
            not self.healed
            and self._to(request)
            and (self._times is None or len(self.hits) < self._times)
        ):
            self.hits.append(request)
            fault = self._fault
        await fault(connection, request, good_body(request))

    @staticmethod
    def ended(connection: Connection, timeout: float = 2.0) -> bool:
        """Return whether either side has closed a connection."""
        deadline = time.monotonic() + timeout
        while not (connection.writer.is_closing() or connection.gone.is_set()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True
