"""Requests out, answers in: every call of both clients goes through here."""

from __future__ import annotations

import logging
import random
import secrets
import ssl as ssl_module
import time
from collections.abc import Mapping
from typing import Final, NoReturn
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
from inferencekey._http.request import SMALL_BODY, ReplayableSource, Request, Upload
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
"""Bytes of a whole answer; more than any contract call returns, less than what kills the process."""

USER_AGENT: Final = f"inferencekey-python/{__version__}"

DECODED: Final = frozenset({"", "identity", "gzip", "deflate", "br", "zstd"})
"""Content encodings that aiohttp decodes, or refuses where it has not the means."""

NO_RETRY: Final = RetryPolicy(max_attempts=1)


class Transport:
    """One client's way to the platform.

    Args:
        base_url: checked, without trailing slashes.
        timeout: the client's deadlines.
        retry: the policy; ``None`` turns retries off.
        headers: sent with every request; they cannot replace the credential.
        proxy: an http proxy's URL; ``None`` for the environment's, ``""`` for none.
        ssl: a context or ``True``.
        session_factory: makes the aiohttp sessions instead.
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
        # No callback is passed on: a bound method would close a reference cycle, and the sessions of
        # a dropped client would stay open until the garbage collector finds it.
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
            InferenceKeyError: the typed error of whatever went wrong.
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
        """Send a request and return the open response once its status is known to be 2xx.

        Args:
            request: the request.
            retry: whether the client's policy holds; else it is sent once.

        Raises:
            InferenceKeyError: the typed error of whatever went wrong.
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
        """Return a 2xx response whose body is unread."""
        fast_path = session.fast_path
        body = request.body
        if fast_path is not None and (
            type(body) is not bytes or len(body) > SMALL_BODY or request.headers is not None
        ):
            fast_path = None
        total = request.timeouts.total
        deadline = None if total is None else time.monotonic() + total
        self._budget.called()
        attempt = stale = 0
        # What cannot be sent again does not go out on a connection from the pool, which may be dead.
        needs_fresh_connection.set(
            not (body is None or type(body) is bytes or isinstance(body, ReplayableSource))
        )
        while True:
            attempt += 1
            began = time.monotonic()
            remaining = None if deadline is None else deadline - began
            if remaining is not None and remaining <= 0:
                raise RequestTimeout.of(
                    "the call took longer than its total timeout",
                    attempts=attempt - 1,
                )
            caught: Exception | None = None
            response: ResponseStream | None = None
            upload: Upload | None = None
            reused_connection.set(False)
            try:
                if fast_path is not None and not session.http.closed:
                    response = await fast_path.send(request, remaining)
                else:
                    if body is not None and not isinstance(body, bytes):
                        upload = Upload(body)
                    response = await self._send_by_session(session, request, upload, remaining)
            except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
                caught = error
            if response is not None:
                response.attempts = attempt
                status = response.status
                if logger.isEnabledFor(logging.DEBUG):
                    _log_response(request, response, began)
                if 200 <= status < 300:
                    encoding = response.headers.get("Content-Encoding")
                    if encoding is not None and encoding.strip().lower() not in DECODED:
                        _refuse_encoding(response, encoding)
                    response.limit_silence(request.timeouts.read)
                    return response
                failed = await _error_of(
                    response, request, base_url=self.base_url, secrets=self._proxy_secrets
                )
                outcome = Outcome(status=status, retry_after=failed.retry_after)
            else:
                # Raised outside of the except block: a traceback with aiohttp's frames in it would
                # hold the credential.
                assert caught is not None
                if upload is not None and upload.failure is not None:
                    raise upload.failure
                failed, failure = translate(
                    caught, reused=reused_connection.get(), secrets=self._proxy_secrets
                )
                failed.attempts = attempt
                caught = None
                _log_failure(request, failed, attempt, began)
                if session.http.closed:
                    raise closed()
                if failure is None:
                    raise failed
                outcome = Outcome(failure=failure)
            if upload is not None and upload.begun and not upload.replayable:
                raise failed
            wait = decide(
                policy,
                outcome,
                method=request.method,
                attempt=attempt - stale,
                jitter=random.random(),  # noqa: S311
                remaining=None if deadline is None else deadline - time.monotonic(),
                non_idempotent=request.non_idempotent,
            )
            # A stale connection costs nothing, and the next one is new: that one cannot be stale.
            is_stale = outcome.failure == "stale"
            if wait is None or not (is_stale or self._budget.take()):
                raise failed
            stale += is_stale
            needs_fresh_connection.set(is_stale)
            logger.info(
                "%s %s is tried again in %.2f s: %s", request.method, request.target, wait, failed
            )
            await anyio.sleep(wait)
            if session.http.closed:
                raise closed()

    async def _send_by_session(
        self, session: Session, request: Request, upload: Upload | None, remaining: float | None
    ) -> ResponseStream:
        timeouts = request.timeouts
        silence = timeouts.first_byte
        if session.plain:
            # aiohttp has one limit for both, and only its protocol could change it in between. The
            # limit on silence is checked again by PlainResponse.
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
                # aiohttp rounds longer timeouts up to a whole second without this.
                ceil_threshold=float("inf"),
            ),
        )
        kind = PlainResponse if session.plain else SessionResponse
        return kind(response, session.loop)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError(
            "a client cannot be pickled: it holds connections and a credential; make one where it is used"
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


def _log_failure(request: Request, failed: InferenceKeyError, attempt: int, began: float) -> None:
    logger.debug(
        "%s %s failed, attempt %d, %.1f ms: %s",
        request.method,
        request.target,
        attempt,
        _milliseconds_since(began),
        failed,
    )


_warned: set[str] = set()


def _warn_about_plain_http(base_url: str) -> None:
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if parts.scheme == "http" and not is_loopback(host) and host not in _warned:
        _warned.add(host)
        warn_user(
            f"{base_url} is plain http: the credential and everything else crosses the network readable to anyone on it. "
            "Use https.",
            InsecureTransportWarning,
        )


def idempotency_key() -> str:
    """Return a new key for one logical call."""
    return secrets.token_hex(16)


def _checked(headers: Mapping[str, str] | None) -> dict[str, str]:
    checked = {"User-Agent": USER_AGENT, "Accept": "*/*"}
    # However they are written: ours go over the caller's, and no name is sent twice.
    names = {name.lower(): name for name in (*checked, "Content-Type", "Idempotency-Key")}
    for name, value in (headers or {}).items():
        if not name or any(c <= " " or c in ':"\x7f' or not c.isascii() for c in name):
            raise ValidationError.of(f"{name!r} is not a header's name")
        if any((c < " " and c != "\t") or c == "\x7f" for c in value):
            raise ValidationError.of(f"the header {name!r} holds a control character")
        if any("\ud800" <= c <= "\udfff" for c in value):
            raise ValidationError.of(
                f"the header {name!r} holds half a character (a lone surrogate)"
            )
        if name.lower() in ("authorization", "host", "content-length", "transfer-encoding"):
            raise ConfigurationError.of(
                f"headers= cannot set {name}; credentials are passed as sdk_token= or api_key=."
            )
        checked[names.get(name.lower(), name)] = value
    return checked


def _refuse_encoding(response: ResponseStream, encoding: str) -> NoReturn:
    # aiohttp returns the bytes of an encoding that it does not know as they came.
    response.close()
    error = ResponseFormatError.of(
        f"in the content encoding {encoding.strip().lower()[:40]!r}, which was not asked for"
    )
    annotate(error, response)
    raise error


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
                f"longer than {MAX_RESPONSE} bytes", status=response.status
            )
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _error_of(
    response: ResponseStream, request: Request, *, base_url: str, secrets: tuple[str, ...]
) -> InferenceKeyError:
    """Return the error of a non-2xx response; its connection goes back to the pool when its body was short."""
    body = bytearray()
    content = response.content
    try:
        with anyio.move_on_after(5):
            while len(body) < BODY_LIMIT and (part := await content.readany()):
                body += part
    except Exception:  # noqa: S110
        pass  # the status has been seen: what can be read of the body is a courtesy
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
    # Which project, which workload and which base URL it was is often the answer to these two.
    if response.status in (403, 404):
        failed.args = (f"{failed} ({request.method} {base_url}{request.target})",)
    return failed
