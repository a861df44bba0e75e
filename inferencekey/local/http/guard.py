"""The middleware of every request: who may call at all, request ids, the log, and errors."""

from __future__ import annotations

import logging
import secrets
import time
from contextvars import ContextVar
from typing import Final

import anyio
import attrs
from aiohttp import web
from aiohttp.typedefs import Handler

from inferencekey.config import redact, redact_token
from inferencekey.local.http.admission import bearer_token
from inferencekey.local.http.errors import HTTPRefusal
from inferencekey.local.http.hosts import HostRules

__all__ = ["Guard", "add_request_id"]

_CLIENT_CLOSED: Final = 499
"""In the log only: the caller closed the connection before it had a response (nginx's number)."""


@attrs.define
class _CurrentRequest:
    """The request that a task handles."""

    id: str
    started: bool = False


# A context variable and not `request[...]`: versions of aiohttp differ in what may be a key there.
_current: ContextVar[_CurrentRequest] = ContextVar("request")


class Guard:
    """The middleware, and the count of the requests in it.

    Args:
        rules: where requests may come from.
        log: gets one line per request and the tracebacks of what should not have happened.
    """

    def __init__(self, rules: HostRules, log: logging.Logger) -> None:
        self._rules = rules
        self._log = log
        self._inside = 0
        self._left = anyio.Event()

    async def wait_until_idle(self) -> None:
        """Wait until no request is being handled."""
        while self._inside:
            await self._left.wait()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle one request, or refuse it."""
        current = _CurrentRequest(f"req_{secrets.token_hex(12)}")
        _current.set(current)
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
            raise  # the caller is gone
        except Exception:
            self._log.exception(
                "unexpected, in %s %s %s", request.method, redact(request.path), current.id
            )
            if current.started:
                # Half an answer is out. A cut connection is the only way left to say that the rest will not come.
                if request.transport is not None:
                    request.transport.close()
                raise
            message = f"internal error; the platform's log says more, under {current.id}"
            return HTTPRefusal(500, message).response(request.path)


_MESSAGES: Final = {404: "no such path", 405: "method not allowed"}


def _refusal_of(error: web.HTTPException) -> HTTPRefusal:
    """Return what aiohttp's router raises as a refusal in the platform's own form."""
    headers: dict[str, str] = {}
    if "Allow" in error.headers:
        headers["Allow"] = error.headers["Allow"]
    return HTTPRefusal(error.status, _MESSAGES.get(error.status, error.reason), headers=headers)


async def add_request_id(_: web.Request, response: web.StreamResponse) -> None:
    """Put the request's id on its response: a handler for ``Application.on_response_prepare``."""
    current = _current.get(None)
    if current is not None:
        current.started = True
        response.headers["x-request-id"] = current.id
