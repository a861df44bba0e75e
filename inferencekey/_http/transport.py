"""Sends the requests of both clients, retries them, and reads whole responses."""

from __future__ import annotations

import logging
import random
import secrets
import ssl as ssl_module
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import anyio
from multidict import CIMultiDict
from yarl import URL

from inferencekey import __version__
from inferencekey._core.data.sse import looks_like_events
from inferencekey._core.http_errors import BODY_LIMIT, error_for
from inferencekey._core.retry import Budget, Outcome, decide, retry_after
from inferencekey._http.attempt import needs_fresh_connection, reused_connection
from inferencekey._http.errors import translate
from inferencekey._http.notices.log import logger, set_up_logging
from inferencekey._http.notices.warnings import warn_user
from inferencekey._http.proxy import proxy_for, secrets_of
from inferencekey._http.request import Request, Upload
from inferencekey._http.responses import (
    PlainResponse,
    Response,
    ResponseStream,
    SessionResponse,
    annotate,
)
from inferencekey._http.sessions import Session, SessionFactory, Sessions, closed
from inferencekey.config import is_loopback
from inferencekey.errors import (
    ConfigurationError,
    InferenceKeyError,
    InsecureTransportWarning,
    RequestTimeout,
    ResponseFormatError,
    ValidationError,
)
from inferencekey.models import RetryPolicy, Timeouts

__all__ = ["Transport", "idempotency_key"]

MAX_RESPONSE: Final = 1024**3
"""The longest whole response, in bytes: more than any call returns, less than fills the memory."""

USER_AGENT: Final = f"inferencekey-python/{__version__}"

DECODED: Final = frozenset({"", "identity", "gzip", "deflate", "br", "zstd"})
"""Content encodings that aiohttp decodes; it raises an error if the decoder is not installed."""

NO_RETRY: Final = RetryPolicy(max_attempts=1)


class Transport:
    """Sends the requests of one client.

    Args:
        base_url: the checked base URL, without trailing slashes.
        timeout: the deadlines of the client.
        retry: the retry policy; ``None`` for no retries.
        headers: headers of every request; they cannot replace the credential.
        proxy: the URL of an HTTP proxy; ``None`` for the environment's, ``""`` for no proxy.
        ssl: a TLS context, or ``True``.
        session_factory: creates the aiohttp sessions.
    """

    def __init__(
        self,
        *,
        base_url: str,
        timeout: Timeouts | float | None,
        retry: RetryPolicy | None,
        headers: Mapping[str, str] | None,
        proxy: str | None,
        ssl: ssl_module.SSLContext | bool,
        session_factory: SessionFactory | None,
    ) -> None:
        set_up_logging()
        _warn_about_plain_http(base_url)
        self.base_url = base_url
        self.timeout = timeout
        self._policy = retry or NO_RETRY
        self._budget = Budget(self._policy)
        self._headers = _checked(headers)
        self._proxy = proxy_for(base_url, proxy)
        self._proxy_secrets = secrets_of(self._proxy)
        # Only values are passed on. A bound method would create a reference cycle, and delay the
        # collection of a client that was not closed.
        self._sessions = Sessions(
            base_url=base_url,
            headers=self._headers,
            ssl=ssl,
            factory=session_factory,
            fast_path=self._proxy is None,
        )

    async def request(self, request: Request) -> Response:
        """Send a request and read the whole response.

        Raises:
            InferenceKeyError: the request failed.
        """
        session = await self._sessions.get()
        stream = await self._send(session, request, self._policy)
        try:
            body = await _read_whole(stream)
        except BaseException as error:
            stream.close()
            if isinstance(error, Exception) and not isinstance(error, InferenceKeyError):
                failure = closed() if session.http.closed else translate(error)[0]
                annotate(failure, stream)
                raise failure from None
            raise
        headers = stream.headers
        return Response(stream.status, headers, body, headers.get("x-request-id"), stream.attempts)

    async def stream(self, request: Request, *, retry: bool = True) -> ResponseStream:
        """Send a request and return the open response when its status, a 2xx, has arrived.

        Args:
            request: the request.
            retry: whether to use the retry policy of the client; otherwise one attempt is made.

        Raises:
            InferenceKeyError: the request failed.
        """
        session = await self._sessions.get()
        stream = await self._send(session, request, self._policy if retry else NO_RETRY)
        session.open_responses.add(stream)
        return stream

    async def aclose(self) -> None:
        """Close the sessions."""
        await self._sessions.aclose()

    async def _send(
        self, session: Session, request: Request, policy: RetryPolicy
    ) -> ResponseStream:
        """Return a 2xx response; its body is not read yet."""
        fast_path = session.fast_path if request.is_small else None
        upload = Upload.of(request.body)
        # A pooled connection may be dead, and a body that cannot be replayed would be lost with it.
        needs_fresh_connection.set(upload is not None and not upload.replayable)
        total = request.timeouts.total
        deadline = None if total is None else time.monotonic() + total
        self._budget.called()
        attempt = stale = 0
        while True:
            attempt += 1
            began = time.monotonic()
            remaining = None if deadline is None else _remaining(deadline - began, attempt)
            caught: Exception | None = None
            response: ResponseStream | None = None
            reused_connection.set(False)
            try:
                if fast_path is not None:
                    response = await fast_path.send(request, remaining)
                else:
                    response = await self._send_by_session(session, request, upload, remaining)
                response.attempts = attempt
            except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
                caught = error
            if response is not None and 200 <= response.status < 300:
                _accept(request, response, began)
                return response
            failed: Exception
            outcome: Outcome | None
            if response is not None:
                failed, outcome = await _refusal(
                    request, response, began, self.base_url, self._proxy_secrets
                )
            else:
                assert caught is not None
                failed, outcome = _failure(
                    session, request, upload, caught, attempt, began, self._proxy_secrets
                )
                # The error is raised outside of the except block, so that it has no reference to
                # aiohttp's frames: their local variables contain the credential.
                caught = None
            wait = self._wait(policy, request, upload, outcome, attempt - stale, deadline)
            if wait is None:
                raise failed
            # The next connection is new, and a new one cannot be stale.
            is_stale = outcome is not None and outcome.failure == "stale"
            stale += is_stale
            needs_fresh_connection.set(is_stale)
            logger.info(
                "%s %s is retried in %.2f s: %s", request.method, request.target, wait, failed
            )
            await anyio.sleep(wait)
            if session.http.closed:
                raise closed()

    def _wait(
        self,
        policy: RetryPolicy,
        request: Request,
        upload: Upload | None,
        outcome: Outcome | None,
        attempt: int,
        deadline: float | None,
    ) -> float | None:
        """Return the seconds to wait before the next attempt, or ``None`` to stop."""
        if outcome is None or (upload is not None and upload.is_spent):
            return None
        wait = decide(
            policy,
            outcome,
            method=request.method,
            attempt=attempt,
            jitter=random.random(),  # noqa: S311
            remaining=None if deadline is None else deadline - time.monotonic(),
            non_idempotent=request.non_idempotent,
        )
        # A stale connection did not reach the server, so its retry does not count for the budget.
        if wait is None or outcome.failure == "stale" or self._budget.take():
            return wait
        return None

    async def _send_by_session(
        self, session: Session, request: Request, upload: Upload | None, remaining: float | None
    ) -> ResponseStream:
        timeouts = request.timeouts
        silence = timeouts.first_byte
        if session.plain:
            # aiohttp's public interface has one limit for the first byte and for later silences, so
            # it is the longer one. PlainResponse also checks the limit for later silences.
            silence = _longer(silence, timeouts.read)
        response = await session.http.request(
            request.method,
            URL(self.base_url + request.target, encoded=True),
            data=request.body if upload is None else upload,
            headers=self._headers_of(request, upload),
            proxy=self._proxy,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=remaining,
                connect=timeouts.connect,
                sock_read=silence,
                # Without this, aiohttp rounds timeouts above 5 s up to whole seconds.
                ceil_threshold=float("inf"),
            ),
        )
        kind = PlainResponse if session.plain else SessionResponse
        return kind(response, session.loop)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError(
            "a client cannot be pickled: it holds connections and a credential; "
            "create one in the process that uses it"
        )

    def _headers_of(self, request: Request, upload: Upload | None) -> CIMultiDict[str]:
        headers = CIMultiDict(self._headers)
        headers["Authorization"] = request.credential.bearer
        if request.streamed:
            headers.setdefault("Accept-Encoding", "identity")
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        if request.idempotency_key is not None:
            headers["Idempotency-Key"] = request.idempotency_key
        if request.headers is not None:
            headers.update(request.headers)
        if upload is not None and upload.size is not None:
            headers["Content-Length"] = str(upload.size)
        return headers


def _remaining(seconds: float, attempt: int) -> float:
    if seconds <= 0:
        raise RequestTimeout.of("the call took longer than its total timeout", attempts=attempt - 1)
    return seconds


def _longer(first: float | None, second: float | None) -> float | None:
    if first is None or second is None:
        return None
    return max(first, second)


def _milliseconds_since(began: float) -> float:
    return (time.monotonic() - began) * 1000


def _log_response(request: Request, response: ResponseStream, began: float) -> None:
    logger.debug(
        "%s %s %d, attempt %d, %.1f ms, %s",
        request.method,
        request.target,
        response.status,
        response.attempts,
        _milliseconds_since(began),
        response.headers.get("x-request-id", "-"),
    )


_warned: set[str] = set()


def _warn_about_plain_http(base_url: str) -> None:
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if parts.scheme == "http" and not is_loopback(host) and host not in _warned:
        _warned.add(host)
        warn_user(
            f"{base_url} uses plain http: everyone on the network can read the credential and all "
            "other data. Use https.",
            InsecureTransportWarning,
        )


def idempotency_key() -> str:
    """Return a new ``Idempotency-Key``: one for each call, the same for all of its attempts."""
    return secrets.token_hex(16)


def _checked(headers: Mapping[str, str] | None) -> dict[str, str]:
    checked = {"User-Agent": USER_AGENT, "Accept": "*/*"}
    # Names differ in case only: ours replace the caller's, and no name is sent twice.
    names = {name.lower(): name for name in (*checked, "Content-Type", "Idempotency-Key")}
    for name, value in (headers or {}).items():
        if not name or any(c <= " " or c in ':"\x7f' or not c.isascii() for c in name):
            raise ValidationError.of(f"{name!r} is not a valid header name")
        if any((c < " " and c != "\t") or c == "\x7f" for c in value):
            raise ValidationError.of(f"the header {name!r} must not contain control characters")
        if any("\ud800" <= c <= "\udfff" for c in value):
            raise ValidationError.of(
                f"the header {name!r} must not contain invalid Unicode (a lone surrogate)"
            )
        if name.lower() in ("authorization", "host", "content-length", "transfer-encoding"):
            raise ConfigurationError.of(
                f"headers= must not set {name}; pass credentials as sdk_token= or api_key="
            )
        checked[names.get(name.lower(), name)] = value
    return checked


def _accept(request: Request, response: ResponseStream, began: float) -> None:
    """Check and log a 2xx response, and limit the silence from now on."""
    if logger.isEnabledFor(logging.DEBUG):
        _log_response(request, response, began)
    # aiohttp does not raise for an encoding that it does not know: the bytes would stay encoded.
    encoding = response.headers.get("Content-Encoding")
    if encoding is not None and encoding.strip().lower() not in DECODED:
        response.close()
        error = ResponseFormatError.of(
            f"the response has the content encoding {encoding.strip().lower()[:40]!r}, "
            "which was not requested"
        )
        annotate(error, response)
        raise error
    request_id = response.headers.get("x-request-id")
    if request_id is not None and request.credential.is_in(request_id):
        hidden = CIMultiDict(response.headers)
        hidden["x-request-id"] = request.credential.hidden(request_id)
        response.headers = hidden
    response.limit_silence(request.timeouts.read)


async def _read_whole(response: ResponseStream) -> bytes:
    content = response.content
    parts: list[bytes] = []
    size = 0
    while part := await content.readany():
        # A stream may go on for minutes, so that it is one is said at once.
        if not parts and part[:1] != b"{" and looks_like_events(part):
            response.close()
            return part
        size += len(part)
        if size > MAX_RESPONSE:
            raise ResponseFormatError.of(
                f"the response is longer than {MAX_RESPONSE} bytes", status=response.status
            )
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _refusal(
    request: Request,
    response: ResponseStream,
    began: float,
    base_url: str,
    secrets: tuple[str, ...],
) -> tuple[InferenceKeyError, Outcome]:
    """Return the error of a non-2xx response, and the outcome for the retry decision.

    The connection goes back to the pool if the body is short.
    """
    body = bytearray()
    content = response.content
    try:
        with anyio.move_on_after(5):
            while len(body) < BODY_LIMIT and (part := await content.readany()):
                body += part
    except Exception:  # noqa: S110
        pass  # the status is known; the body only makes the message more helpful
    finally:
        if content.at_eof():
            response.release()
        else:
            response.close()
    failed = error_for(
        response.status,
        bytes(body),
        request_id=response.request_id,
        retry_after=retry_after(response.headers, time.time()),
        attempts=response.attempts,
        location=response.headers.get("Location"),
        secrets=(request.credential.reveal(), *secrets),
    )
    # For these two the reason is often a wrong project, workload or base URL: show the request.
    if response.status in (403, 404):
        failed.args = (f"{failed} ({request.method} {base_url}{request.target})",)
    if logger.isEnabledFor(logging.DEBUG):
        _log_response(request, response, began)
    return failed, Outcome(status=response.status, retry_after=failed.retry_after)


def _failure(
    session: Session,
    request: Request,
    upload: Upload | None,
    caught: Exception,
    attempt: int,
    began: float,
    secrets: tuple[str, ...],
) -> tuple[Exception, Outcome | None]:
    """Return the error of an attempt without a response, and the outcome for the retry decision.

    The outcome is ``None`` if a retry cannot help.
    """
    if upload is not None and upload.failure is not None:
        return upload.failure, None
    failed, failure = translate(caught, reused=reused_connection.get(), secrets=secrets)
    failed.attempts = attempt
    logger.debug(
        "%s %s failed, attempt %d, %.1f ms: %s",
        request.method,
        request.target,
        attempt,
        _milliseconds_since(began),
        failed,
    )
    if session.http.closed:
        return closed(), None
    return failed, None if failure is None else Outcome(failure=failure)
