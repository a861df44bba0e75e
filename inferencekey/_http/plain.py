"""aiohttp without our subclasses, for versions whose internals the tests have not run with."""

from __future__ import annotations

import ssl as ssl_module
from types import SimpleNamespace

import aiohttp

from inferencekey import config
from inferencekey._http.attempt import reused_connection
from inferencekey._http.notices.log import logger

__all__ = ["open_session", "uses_plain_aiohttp"]


def uses_plain_aiohttp() -> bool:
    """Return whether to use plain aiohttp classes. If so, the log gets one line in each process."""
    notice = config.plain_aiohttp_notice(aiohttp.__version__)
    if notice is not None:
        logger.warning(notice)
    return config.plain_aiohttp(aiohttp.__version__)


def open_session(ssl: ssl_module.SSLContext | bool) -> aiohttp.ClientSession:
    """Return a session of aiohttp's own classes."""
    # A pooled connection may be dead already, and then a retry is free; after a dropped new
    # connection it is not. Tracing costs time for every request, but it is a public way to tell the
    # two apart.
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
