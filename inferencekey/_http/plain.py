"""aiohttp without our subclasses, for versions of it whose internals the tests have not seen."""

from __future__ import annotations

import ssl as ssl_module
from types import SimpleNamespace

import aiohttp

from inferencekey import config
from inferencekey._http.attempt import reused_connection
from inferencekey._http.notices.log import logger

__all__ = ["open_session", "uses_plain_aiohttp"]


def uses_plain_aiohttp() -> bool:
    """Say whether to use plain aiohttp classes; the log gets one line about it for each process."""
    notice = config.plain_aiohttp_notice(aiohttp.__version__)
    if notice is not None:
        logger.warning(notice)
    return config.plain_aiohttp(aiohttp.__version__)


def open_session(ssl: ssl_module.SSLContext | bool) -> aiohttp.ClientSession:
    """Return a session of aiohttp's own classes."""
    # The tracing costs every request, but it is public: it tells a connection from the pool, which
    # may have died unseen, from a new one that the server dropped.
    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(_note_reuse)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=ssl),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        trace_configs=[trace],
    )


async def _note_reuse(
    session: aiohttp.ClientSession,
    context: SimpleNamespace,
    parameters: aiohttp.TraceConnectionReuseconnParams,
) -> None:
    reused_connection.set(True)
