"""A server over real TCP that misbehaves: the test decides about every byte and every end."""

from faults.responses import chunk, events, head, json_response, sse_head
from faults.server import Connection, FaultServer, Request, Script

__all__ = [
    "Connection",
    "FaultServer",
    "Request",
    "Script",
    "chunk",
    "events",
    "head",
    "json_response",
    "sse_head",
]
