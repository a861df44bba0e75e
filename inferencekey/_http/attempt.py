"""What the transport and the connection pool exchange about one attempt to send a request."""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["needs_fresh_connection", "reused_connection"]

# These are context variables because aiohttp's session passes no values of ours to its connector.
# Its tracing could, but it costs time for every request.

reused_connection: ContextVar[bool] = ContextVar("reused_connection", default=False)
"""Set by the pool: the connection of the current attempt had served a request before."""

needs_fresh_connection: ContextVar[bool] = ContextVar("needs_fresh_connection", default=False)
"""Set by the transport: the current attempt must get a new connection.

After one connection from the pool was dead, the others may be dead as well.
"""
