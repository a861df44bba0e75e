"""The middleware around every request: host check, request id, log line, error response."""

from __future__ import annotations

import logging
import secrets
import time
from typing import Final

import anyio
import attrs
from aiohttp import web
from aiohttp.typedefs import Handler

from inferencekey.credentials import redact, redact_token
from inferencekey.local.http.admission import bearer_token
from inferencekey.local.http.errors import HTTPRefusal
from inferencekey.local.http.hosts import HostRules

__all__ = ["Guard", "add_request_id"]

_CLIENT_CLOSED: Final = 499
"""Logged if the caller disconnected before the response. nginx uses the same number."""


@attrs.define
class _CurrentRequest:
    """The request that the current task handles.

    Args:
        id: its id, which is logged and sent as ``x-request-id``.
        started: whether the head of the response has been sent.
    """

    id: str
    started: bool = False


_CURRENT: Final = web.RequestKey("current", _CurrentRequest)


class Guard:
    """The middleware of the platform, and the number of requests that it handles now.

    Args:
        rules: the hosts and origins that requests may have.
        log: gets one line for each request, and the traceback of each unexpected error.
    """

    def __init__(self, rules: HostRules, log: logging.Logger) -> None:
        self._rules = rules
        self._log = log
        self._inside = 0
        self._left = anyio.Event()

    async def wait_until_idle(self) -> None:
        """Wait until no request is in progress."""
        while self._inside:
            await self._left.wait()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle one request."""
        current = _CurrentRequest(f"req_{secrets.token_hex(12)}")
        request[_CURRENT] = current
        began = time.monotonic()
        status = _CLIENT_CLOSED
        self._inside += 1
        try:
            response = await self._respond(request, handler, current)
            status = response.status
            return response
        finally:
            self._inside -= 1
            self._left.set()
            self._left = anyio.Event()
            token = bearer_token(request)
            self._log.info(
                "%s %s %d %.1f ms %s %s",
                request.method,
                redact(request.path),
                status,
                (time.monotonic() - began) * 1000,
                current.id,
                "-" if token is None else redact_token(token),
            )

    async def _respond(
        self, request: web.Request, handler: Handler, current: _CurrentRequest
    ) -> web.StreamResponse:
        reason = self._rules.reason_to_refuse(request.headers)
        if reason is not None:
            return HTTPRefusal(403, reason).response(request.path)
        try:
            return await handler(request)
        except HTTPRefusal as refusal:
            return refusal.response(request.path)
        except web.HTTPException as error:
            return _refusal_of(error).response(request.path)
        except ConnectionError:
            raise  # The caller disconnected, so there is nobody to respond to.
        except Exception:
            self._log.exception(
                "unexpected, in %s %s %s", request.method, redact(request.path), current.id
            )
            if current.started:
                # The status has been sent already. Closing the connection is the only way left to
                # tell the caller that the body is incomplete.
                if request.transport is not None:
                    request.transport.close()
                raise
            message = f"internal error; see the platform's log for the request {current.id}"
            return HTTPRefusal(500, message).response(request.path)


_MESSAGES: Final = {404: "no such path", 405: "method not allowed"}


def _refusal_of(error: web.HTTPException) -> HTTPRefusal:
    """Convert an error of aiohttp's router, such as 404 or 405."""
    headers: dict[str, str] = {}
    if "Allow" in error.headers:
        headers["Allow"] = error.headers["Allow"]
    return HTTPRefusal(error.status, _MESSAGES.get(error.status, error.reason), headers=headers)


async def add_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """Set the header ``x-request-id``; a handler of ``Application.on_response_prepare``."""
    current = request.get(_CURRENT)
    if current is not None:
        current.started = True
        response.headers["x-request-id"] = current.id
