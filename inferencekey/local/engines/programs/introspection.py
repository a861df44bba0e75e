"""What a running program reports about itself: its model, and its number of slots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import aiohttp
import orjson

from inferencekey._core.json import as_mapping
from inferencekey.local.engines.programs.command import option_value
from inferencekey.local.engines.programs.table import Program

__all__ = ["choose_model", "fetch_json", "fetch_slots", "find_model", "names_in"]

RESPONSE_BYTES: Final = 1024 * 1024


async def find_model(session: aiohttp.ClientSession, wanted: str) -> str:
    """Return what the program expects as a request's `model`; *wanted*, if it does not say."""
    return choose_model(await fetch_json(session, "/v1/models"), wanted)


def choose_model(body: object, wanted: str) -> str:
    """Return the model named *wanted* in the body of `/v1/models`, else the first model in it."""
    names = names_in(body, "data", "id")
    for name in (wanted, f"{wanted}:latest"):
        if name in names:
            return name
    return names[0] if names else wanted


def names_in(body: object, field: str, key: str) -> list[str]:
    """Return the texts under *key* of the objects in the list *field*; ignore everything else."""
    entries = (as_mapping(body) or {}).get(field)
    if not isinstance(entries, list):
        return []
    names = [(as_mapping(entry) or {}).get(key) for entry in cast("list[object]", entries)]
    return [name for name in names if isinstance(name, str) and name]


async def fetch_slots(
    session: aiohttp.ClientSession,
    program: Program,
    argv: Sequence[str],
    environ: Mapping[str, str],
) -> int:
    """Return how many requests a program computes at the same time.

    The program's own properties count most, then its command, then its environment, then what is
    usual for it.
    """
    if program.properties:
        properties = as_mapping(await fetch_json(session, program.properties)) or {}
        total = properties.get("total_slots")
        if isinstance(total, int) and total > 0:
            return total
    text = option_value(argv, program.slots) or environ.get(program.slots_variable, "")
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    return program.slots_default


async def fetch_json(session: aiohttp.ClientSession, path: str) -> Any:
    """Return the JSON of a response; `None` if its status is not 200 or its body is not JSON."""
    try:
        async with session.get(path, allow_redirects=False) as response:
            if response.status != 200:
                return None
            # Bounded, because the program may be any program.
            body = b""
            while len(body) < RESPONSE_BYTES:
                part = await response.content.readany()
                if not part:
                    break
                body += part
        return orjson.loads(body)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None
