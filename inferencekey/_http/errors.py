"""aiohttp's exceptions, as what they mean to a caller and to the retry decision."""

from __future__ import annotations

import asyncio
import re
from typing import Final

import aiohttp

from inferencekey._core.retry import Failure
from inferencekey.config import redact
from inferencekey.errors import (
    ConfigurationError,
    InferenceKeyError,
    RequestTimeout,
    ResponseFormatError,
    TransportError,
)

__all__ = ["BrokenFraming", "translate"]


class BrokenFraming(aiohttp.ClientPayloadError):
    """The body is not framed as HTTP/1.1 wants it: a chunk's size is not a number, for example."""


def translate(
    error: BaseException, *, reused: bool = False, secrets: tuple[str, ...] = ()
) -> tuple[InferenceKeyError, Failure | None]:
    """Return the typed error, and how the attempt failed where trying again may help.

    Args:
        error: aiohttp's.
        reused: whether the connection came from the pool.
        secrets: passwords of a proxy, to be removed from what it has echoed.
    """
    # The URL of a proxy, with its password, is in some of aiohttp's texts.
    text = redact(_USERINFO.sub(r"\1…@", str(error)), secrets) or type(error).__name__
    match error:
        case aiohttp.ConnectionTimeoutError():
            return RequestTimeout.of(
                f"no connection within the connect timeout ({text})"
            ), "not_sent"
        case aiohttp.SocketTimeoutError():
            return RequestTimeout.of(
                "the server was silent for longer than the timeout allows"
            ), None
        case asyncio.TimeoutError():
            return RequestTimeout.of("the call took longer than its total timeout"), None
        case aiohttp.ClientConnectorCertificateError():
            return TransportError.of(
                f"the server's certificate is not trusted: {text}. {_CA}"
            ), None
        case aiohttp.ClientConnectorSSLError():
            return TransportError.of(f"TLS failed: {text}. Does the server speak https?"), None
        case aiohttp.ClientHttpProxyError():
            # Its text has the proxy's URL, and in that its password.
            why = _one_line(redact(error.message, secrets))
            return TransportError.of(f"the proxy refused: {error.status} {why}"), None
        case aiohttp.ClientConnectorError():
            why = error.os_error.strerror or str(error.os_error) or "no answer"
            return TransportError.of(
                f"cannot connect to {error.host}:{error.port} ({why}). {_WHERE}"
            ), "not_sent"
        case aiohttp.InvalidURL():
            return ConfigurationError.of(f"not a usable URL: {text}"), None
        case aiohttp.ClientPayloadError() | aiohttp.ClientResponseError() if (
            "content-encoding" in text
        ):
            return ResponseFormatError.of(
                "its body is not in the encoding that it claims, or in one not known here"
            ), None
        case BrokenFraming():
            return TransportError.of(
                f"the answer broke off in the middle ({_one_line(text)})"
            ), None
        case aiohttp.ClientPayloadError():
            return TransportError.of("the answer was cut short"), None
        case aiohttp.ServerDisconnectedError():
            return TransportError.of("the server closed the connection without an answer"), (
                "stale" if reused else "dropped"
            )
        case aiohttp.ClientResponseError():
            return ResponseFormatError.of(f"not HTTP as it should be ({_one_line(text)})"), None
        case OSError():
            return TransportError.of(f"{text}"), "stale" if reused else "dropped"
        case _:
            return TransportError.of(f"{text}"), None


# A password may have any character that is not the end of the URL, unquoted ones included.
_USERINFO: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*://)[^\s'\"<>]*@")
_WHERE: Final = "Is the platform running there, and is base_url (INFERENCEKEY_BASE_URL) right?"
_CA: Final = "A custom CA is passed as ssl=."


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
