"""Whether an engine is healthy: which paths are requested, and which status counts."""

from __future__ import annotations

from typing import Final

import aiohttp
from attrs import frozen

__all__ = ["DEFAULT_HEALTH", "HEALTHY", "Health", "probe"]

HEALTHY: Final = "200"
"""What :func:`probe` returns for a healthy engine."""


@frozen
class Health:
    """How to see that a program is healthy.

    Attributes:
        paths: requested in this order, until one is not a 404. Status 200 is healthy.
        any_response: for programs that are not in our table: every status below 500 is healthy,
            and so is 404 on all paths.
    """

    paths: tuple[str, ...] = ("/health",)
    any_response: bool = False


DEFAULT_HEALTH: Final = Health()


async def probe(
    session: aiohttp.ClientSession, address: str, health: Health = DEFAULT_HEALTH
) -> str:
    """Return the health of an engine as a word for messages: ``200``, ``503``, or an error's name.

    Args:
        session: has the timeout of one probe.
        address: ``http://127.0.0.1:PORT``.
        health: which paths to request.
    """
    status = 0
    try:
        for path in health.paths:
            async with session.get(address + path, allow_redirects=False) as response:
                status = response.status
            if status != 404:
                break
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return type(error).__name__
    if health.any_response and status < 500:
        return HEALTHY
    return str(status)
