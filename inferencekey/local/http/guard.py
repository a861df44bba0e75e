"""What every request passes through: who may call at all, request ids, the log, and errors in the plane's shape."""

from __future__ import annotations

import logging
import secrets
import time
from contextvars import ContextVar
from typing import Final, cast

import anyio
import attrs
import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from inferencekey.config import redact, redact_token
from inferencekey.local.http.errors import Refused
from inferencekey.local.http.hosts import HostRules

__all__ = ["Guard", "as_json", "bearer", "read_body", "read_json", "stamp"]


@attrs.define
class _Current:
    """The request that a task answers."""

    id: str
    started: bool = False


# Not in the request itself: versions of aiohttp differ in what may be a key there.
_current: ContextVar[_Current] = ContextVar("request")


class Guard:
    """The middleware, and the count of those who are inside.

    Args:
        rules: where requests may come from.
        log: gets one line per request and the tracebacks of what should not have happened.
    """

    def __init__(self, rules: HostRules, log: logging.Logger) -> None:
        self._rules = rules
        self._log = log
        self._inside = 0
        self._left = anyio.Event()

    async def empty(self) -> None:
        """Wait until no request is being answered."""
        while self._inside:
            await self._left.wait()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let one request through, or not."""
        current = _Current(f"req_{secrets.token_hex(12)}")
        _current.set(current)
        began = time.monotonic()
        status = 499  # nobody was there to take an answer, unless one is made
        self._inside += 1
        try:
            response = await self._answer(request, handler, current)
            status = response.status
            return response
        finally:
            self._inside -= 1
            self._left.set()
            self._left = anyio.Event()
            self._log.info(
                "%s %s %d %.1f ms %s %s",
                request.method,
                redact(request.path),
                status,
                (time.monotonic() - began) * 1000,
                current.id,
                redact_token(token) if (token := bearer(request)) else "-",
            )

    async def _answer(
        self, request: web.Request, handler: Handler, current: _Current
    ) -> web.StreamResponse:
        refused = self._rules.refusal(request.headers)
        if refused is not None:
            return Refused(403, refused).response(request.path)
        try:
            return await handler(request)
        except Refused as error:
            return error.response(request.path)
        except web.HTTPException as error:
            headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            return Refused(
                error.status, _PLAIN.get(error.status, error.reason), headers=headers
            ).response(request.path)
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
            return Refused(500, message).response(request.path)


_PLAIN: Final = {404: "no such path", 405: "method not allowed"}


async def stamp(_: web.Request, response: web.StreamResponse) -> None:
    """Put the request's id on its answer: a signal handler for ``Application.on_response_prepare``."""
    current = _current.get(None)
    if current is not None:
        current.started = True
        response.headers["x-request-id"] = current.id


def bearer(request: web.Request) -> str | None:
    """Return the token of ``Authorization: Bearer …``; ``None`` without one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


async def read_body(request: web.Request, limit: int) -> bytes:
    """Return the request's body.

    Raises:
        Refused: 413 when it is longer than *limit* bytes.
    """
    refusal = Refused(413, f"the body is longer than {limit} bytes")
    if request.content_length is not None and request.content_length > limit:
        raise refusal
    body = bytearray()
    # Counted as it comes: a chunked or compressed body does not say how long it will be.
    async for part in request.content.iter_any():
        body += part
        if len(body) > limit:
            raise refusal
    return bytes(body)


async def read_json(request: web.Request, limit: int) -> dict[str, object]:
    """Return the request's body as a JSON object.

    Raises:
        Refused: 413 when it is too long, 400 when it is not a JSON object in UTF-8.
    """
    return as_json(await read_body(request, limit))


def as_json(body: bytes) -> dict[str, object]:
    """Return a body as a JSON object.

    Raises:
        Refused: 400 when it is not one, in UTF-8.
    """
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is not JSON: {error}", code="invalid_json") from None
    if not isinstance(value, dict):
        raise Refused(400, "the body must be a JSON object", code="invalid_json")
    return cast("dict[str, object]", value)
