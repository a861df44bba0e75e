"""aiohttp's exceptions become typed errors; each says whether the request may be sent again."""

from __future__ import annotations

import asyncio
import re
from typing import Final

import aiohttp

from inferencekey._core.retry import Failure
from inferencekey.credentials import redact
from inferencekey.errors import (
    ConfigurationError,
    InferenceKeyError,
    RequestTimeout,
    ResponseFormatError,
    TransportError,
)

__all__ = ["BrokenFraming", "translate"]

Translation = tuple[InferenceKeyError, Failure | None]

# A password may have any character that does not end the URL, unquoted ones included.
_USERINFO: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*://)[^\s'\"<>]*@")
_WHERE: Final = "Is the platform running there, and is base_url (INFERENCEKEY_BASE_URL) right?"


class BrokenFraming(aiohttp.ClientPayloadError):
    """The chunked coding of a response body is malformed, by a bad chunk size for example."""


def translate(
    error: BaseException, *, reused: bool = False, secrets: tuple[str, ...] = ()
) -> Translation:
    """Return the typed error, and the kind of failure if a retry may help.

    Args:
        error: what aiohttp raised.
        reused: whether the connection had served a request before.
        secrets: passwords of a proxy, to be removed from what it has echoed.
    """
    # The URL of a proxy, with its password, is in some of aiohttp's texts.
    text = redact(_USERINFO.sub(r"\1…@", str(error)), secrets) or type(error).__name__
    match error:
        case aiohttp.ConnectionTimeoutError():
            # No request was sent, so even one that must not run twice may be sent again.
            return RequestTimeout.of(
                f"no connection within the connect timeout ({text})"
            ), "not_sent"
        case aiohttp.SocketTimeoutError():
            return RequestTimeout.of(
                "the server was silent for longer than the timeout allows"
            ), None
        case asyncio.TimeoutError():
            return RequestTimeout.of("the call took longer than its total timeout"), None
        case aiohttp.ClientConnectorError():
            return _cannot_connect(error, text)
        case aiohttp.InvalidURL():
            return ConfigurationError.of(f"the URL is not valid: {text}"), None
        case aiohttp.ClientPayloadError() | aiohttp.ClientResponseError():
            return _bad_response(error, text, secrets), None
        case aiohttp.ServerDisconnectedError():
            failed = TransportError.of("the server closed the connection without a response")
            return failed, "stale" if reused else "dropped"
        case OSError():
            return TransportError.of(text), "stale" if reused else "dropped"
        case _:
            return TransportError.of(text), None


def _cannot_connect(error: aiohttp.ClientConnectorError, text: str) -> Translation:
    # A certificate or a TLS version does not change between two attempts: these are not retried.
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        hint = "Pass a custom CA as ssl=."
        return TransportError.of(f"the server's certificate is not trusted: {text}. {hint}"), None
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return TransportError.of(f"TLS failed: {text}. Does the server use https?"), None
    reason = error.os_error.strerror or str(error.os_error) or "no reason given"
    return TransportError.of(
        f"cannot connect to {error.host}:{error.port} ({reason}). {_WHERE}"
    ), "not_sent"


def _bad_response(
    error: aiohttp.ClientPayloadError | aiohttp.ClientResponseError,
    text: str,
    secrets: tuple[str, ...],
) -> InferenceKeyError:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        # The text of the error is not used: it contains the proxy's URL, and so its password.
        reason = f"{error.status} {_one_line(redact(error.message, secrets))}"
        return TransportError.of(f"the proxy refused the request: {reason}")
    # aiohttp has no class for this; its parser puts the name of the header into the text.
    if "content-encoding" in text:
        return ResponseFormatError.of(
            "the body does not have the encoding of its Content-Encoding header, "
            "or the encoding is not supported"
        )
    if isinstance(error, BrokenFraming):
        return TransportError.of(f"the response body is malformed ({_one_line(text)})")
    if isinstance(error, aiohttp.ClientPayloadError):
        return TransportError.of("the response was cut short")
    return ResponseFormatError.of(f"the response is not valid HTTP ({_one_line(text)})")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
