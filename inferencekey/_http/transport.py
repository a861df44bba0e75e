"""Requests out, answers in: every call of both clients goes through here."""

from __future__ import annotations

import logging
import random
import secrets
import ssl as ssl_module
import time
from collections.abc import Mapping
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import anyio
import attrs
from yarl import URL

from inferencekey import __version__
from inferencekey._core.http_errors import BODY_LIMIT, error_for
from inferencekey._core.retry import Budget, Outcome, decide, retry_after
from inferencekey._http.credential import Credential
from inferencekey._http.errors import translate
from inferencekey._http.fast_path import SMALL, Direct
from inferencekey._http.log import logger, set_up
from inferencekey._http.proxy import proxy_for
from inferencekey._http.responses import ByteStream, Response
from inferencekey._http.sessions import Session, SessionFactory, Sessions, closed, fresh, reused
from inferencekey._http.warnings import warn_user
from inferencekey.config import is_loopback, redact
from inferencekey.errors import (
    ConfigurationError,
    InferenceKeyError,
    InsecureTransportWarning,
    RequestTimeout,
    ResponseFormatError,
    ValidationError,
)
from inferencekey.models import RetryPolicy, Timeouts

__all__ = ["Answer", "Transport", "idempotency_key"]

MAX_ANSWER: Final = 1024**3
"""Bytes of a whole answer; more than any contract call returns, less than what kills the process."""

USER_AGENT: Final = f"inferencekey-python/{__version__}"

DECODED: Final = frozenset({"", "identity", "gzip", "deflate", "br", "zstd"})
"""Content encodings that aiohttp decodes, or refuses where it has not the means."""

NO_RETRY: Final = RetryPolicy(max_attempts=1)


@attrs.frozen
class Answer:
    """A whole 2xx answer."""

    status: int
    body: bytes
    request_id: str | None
    attempts: int

    def tell(self, error: InferenceKeyError) -> None:
        """Let an error that came of reading this answer carry what the answer carried."""
        if error.status is None:
            error.status = self.status
        if error.request_id is None:
            error.request_id = self.request_id
        if error.body is None:
            error.body = redact(self.body[:BODY_LIMIT].decode("utf-8", "replace"))
        error.attempts = self.attempts


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
        set_up()
        _warn_of_plain_http(base_url)
        self.base_url = base_url
        self._prefix = urlsplit(base_url).path
        self.timeout = timeout
        self._policy = retry or NO_RETRY
        self._budget = Budget(self._policy)
        self._headers = _checked(headers)
        self._proxy = proxy_for(base_url, proxy)
        # No method of ours: a client that is dropped is to be gone at once, which a circle would delay.
        direct = (
            None if self._proxy else partial(Direct, URL(base_url, encoded=True), self._headers)
        )
        self._sessions = Sessions(ssl=ssl, factory=session_factory, direct=direct)

    async def request(
        self,
        method: str,
        path: str,
        credential: Credential,
        timeouts: Timeouts,
        *,
        body: bytes | None = None,
        key: str | None = None,
        once: bool = False,
    ) -> Answer:
        """Send a request and read the whole answer.

        Args:
            method: the HTTP method.
            path: below the base URL, already quoted.
            credential: the bearer token.
            timeouts: the call's deadlines.
            body: JSON.
            key: the call's ``Idempotency-Key``.
            once: the request must not be carried out twice; see ``_core.retry``.

        Raises:
            InferenceKeyError: the typed error of whatever went wrong.
        """
        session = await self._sessions.get()
        response, attempts = await self._send(
            session, method, path, credential, timeouts, body, key, once, None
        )
        try:
            whole = await _read_whole(response)
        except BaseException as error:
            response.close()
            if isinstance(error, Exception) and not isinstance(error, InferenceKeyError):
                failure, _ = (closed(), None) if session.http.closed else translate(error)
                raise _told(failure, response, attempts) from None
            raise
        return Answer(response.status, whole, response.headers.get("x-request-id"), attempts)

    async def stream(
        self,
        method: str,
        path: str,
        credential: Credential,
        timeouts: Timeouts,
        *,
        body: bytes | None = None,
        key: str | None = None,
        retry: bool = True,
    ) -> ByteStream:
        """Send a request and return the open answer once its status is known to be 2xx."""
        policy = None if retry else NO_RETRY
        session = await self._sessions.get()
        response, attempts = await self._send(
            session, method, path, credential, timeouts, body, key, False, policy
        )
        opened = ByteStream(response, attempts)
        session.bodies.add(opened)
        return opened

    async def aclose(self) -> None:
        """Close the sessions."""
        await self._sessions.aclose()

    async def _send(
        self,
        session: Session,
        method: str,
        path: str,
        credential: Credential,
        timeouts: Timeouts,
        body: bytes | None,
        key: str | None,
        once: bool,
        policy: RetryPolicy | None,
    ) -> tuple[Response, int]:
        """Return a 2xx answer whose body is unread, and how many attempts it took."""
        http = session.http
        policy = policy or self._policy
        deadline = None if timeouts.total is None else time.monotonic() + timeouts.total
        self._budget.called()
        attempt = stale = 0
        fresh.set(False)
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
            response: Response | None = None
            reused.set(False)
            try:
                response = await self._attempt(
                    session, method, path, credential, timeouts, remaining, body, key
                )
            except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
                caught = error
            if response is not None and 200 <= response.status < 300:
                _log(method, path, response, attempt, began)
                _refuse_encoding(response, attempt)
                _listen(response, timeouts.read)
                return response, attempt
            # Raised outside the except block: a traceback that carried aiohttp's frames would carry the credential.
            if response is not None:
                failed = await _refusal(response, attempt, credential)
                if response.status in (403, 404):
                    failed.args = (
                        f"{failed} ({method} {path})",
                    )  # which project, which workload, which base URL
                _log(method, path, response, attempt, began)
                outcome = Outcome(status=response.status, retry_after=failed.retry_after)
            else:
                assert caught is not None
                failed, failure = translate(caught, reused=reused.get())
                failed.attempts = attempt
                logger.debug(
                    "%s %s failed, attempt %d, %.1f ms: %s",
                    method,
                    path,
                    attempt,
                    _ms(began),
                    failed,
                )
                caught = None
                if http.closed:
                    raise closed()
                if failure is None:
                    raise failed
                outcome = Outcome(failure=failure)
            wait = decide(
                policy,
                outcome,
                method=method,
                attempt=attempt - stale,
                jitter=random.random(),  # noqa: S311
                remaining=None if deadline is None else deadline - time.monotonic(),
                once=once,
            )
            # A stale connection costs nothing, and the next one is new: that one cannot be stale.
            free = outcome.failure == "stale"
            if wait is None or not (free or self._budget.take()):
                raise failed
            stale += free
            fresh.set(free)
            logger.info("%s %s is tried again in %.2f s: %s", method, path, wait, failed)
            await anyio.sleep(wait)
            if http.closed:
                raise closed()

    async def _attempt(
        self,
        session: Session,
        method: str,
        path: str,
        credential: Credential,
        timeouts: Timeouts,
        remaining: float | None,
        body: bytes | None,
        key: str | None,
    ) -> Response:
        if (
            session.direct is not None
            and body is not None
            and len(body) <= SMALL
            and not session.http.closed
        ):
            return await session.direct.send(
                method,
                self._prefix + path,
                credential,
                body,
                key,
                connect=timeouts.connect,
                first_byte=timeouts.first_byte,
                remaining=remaining,
            )
        return await session.http.request(
            method,
            URL(self.base_url + path, encoded=True),
            data=body,
            headers=self._head(credential, body, key),
            proxy=self._proxy,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=remaining,
                connect=timeouts.connect,
                sock_read=timeouts.first_byte,
                ceil_threshold=float("inf"),
            ),
        )

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError(
            "a client cannot be pickled: it holds connections and a credential; make one where it is used"
        )

    def _head(self, credential: Credential, body: bytes | None, key: str | None) -> dict[str, str]:
        headers = dict(self._headers)
        headers["Authorization"] = credential.bearer
        if body is not None:
            headers["Content-Type"] = "application/json"
        if key is not None:
            headers["Idempotency-Key"] = key
        return headers


def _ms(began: float) -> float:
    return (time.monotonic() - began) * 1000


def _log(method: str, path: str, response: Response, attempt: int, began: float) -> None:
    if logger.isEnabledFor(logging.DEBUG):
        id = response.headers.get("x-request-id", "-")
        logger.debug(
            "%s %s %d, attempt %d, %.1f ms, %s",
            method,
            path,
            response.status,
            attempt,
            _ms(began),
            id,
        )


_warned: set[str] = set()


def _warn_of_plain_http(base_url: str) -> None:
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


def _listen(response: Response, read: float | None) -> None:
    """From the first byte on, the limit is the silence between bytes."""
    connection = response.connection
    if connection is not None and connection.protocol is not None:
        connection.protocol.read_timeout = read
        connection.protocol.start_timeout()


def _refuse_encoding(response: Response, attempt: int) -> None:
    """aiohttp hands out what it cannot decode as it came."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in DECODED:
        response.close()
        error = ResponseFormatError.of(
            f"in the content encoding {encoding[:40]!r}, which was not asked for"
        )
        raise _told(error, response, attempt)


async def _read_whole(response: Response) -> bytes:
    content = response.content
    parts: list[bytes] = []
    size = 0
    while part := await content.readany():
        size += len(part)
        if size > MAX_ANSWER:
            raise ResponseFormatError.of(f"longer than {MAX_ANSWER} bytes", status=response.status)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _refusal(response: Response, attempt: int, credential: Credential) -> InferenceKeyError:
    """Return the error of a non-2xx answer; its connection goes back to the pool when its body was short."""
    body = bytearray()
    try:
        with anyio.move_on_after(5):
            while len(body) < BODY_LIMIT and (part := await response.content.readany()):
                body += part
    except Exception:  # noqa: S110
        pass  # the status has been seen: what can be read of the body is a courtesy
    finally:
        response.close() if not response.content.at_eof() else response.release()
    return error_for(
        response.status,
        bytes(body),
        request_id=response.headers.get("x-request-id"),
        retry_after=retry_after(response.headers, time.time()),
        attempts=attempt,
        location=response.headers.get("Location"),
        secrets=(credential.reveal(),),
    )


def _told(error: InferenceKeyError, response: Response, attempts: int) -> InferenceKeyError:
    error.status = response.status
    error.request_id = response.headers.get("x-request-id")
    error.attempts = attempts
    return error
