"""A server that misbehaves on purpose: real TCP, every byte and every end decided by the test."""

from faults.answers import chunk, events, head, json_answer, sse_head
from faults.server import Connection, FaultServer, Request, Script

__all__ = [
    "Connection",
    "FaultServer",
    "Request",
    "Script",
    "chunk",
    "events",
    "head",
    "json_answer",
    "sse_head",
]
