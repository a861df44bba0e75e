"""What an attempt and the pool tell each other, around aiohttp's session that stands in between."""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["needs_fresh_connection", "reused_connection"]

# Context variables, because aiohttp's session passes nothing of ours on to its connector. Its
# tracing would, but costs every request.

reused_connection: ContextVar[bool] = ContextVar("reused_connection", default=False)
"""Set by the pool: the connection of the current attempt had served a request before."""

needs_fresh_connection: ContextVar[bool] = ContextVar("needs_fresh_connection", default=False)
"""Set by the transport: the current attempt must get a new connection.

After one connection from the pool was dead, the others may be dead as well.
"""
