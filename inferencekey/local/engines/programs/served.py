"""What a running program says of itself: the model that answers, and how many requests it computes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import aiohttp
import orjson

from inferencekey.local.engines.programs.command import option_value
from inferencekey.local.engines.programs.table import Program

__all__ = ["fetch_json", "model_among", "model_that_answers", "slots"]

ANSWER_BYTES: Final = 1024 * 1024


async def model_that_answers(session: aiohttp.ClientSession, wanted: str) -> str:
    """Return the name that the program wants as a request's `model`; *wanted*, if it does not say."""
    return model_among(await fetch_json(session, "/v1/models"), wanted)


def model_among(answer: object, wanted: str) -> str:
    """Return which of the models of a `/v1/models` answer is meant: the one of that name, else the first."""
    given = cast("Mapping[str, object]", answer).get("data") if isinstance(answer, dict) else None
    entries = cast("list[object]", given) if isinstance(given, list) else []
    names = [
        cast("dict[str, object]", entry).get("id") for entry in entries if isinstance(entry, dict)
    ]
    known = [name for name in names if isinstance(name, str) and name]
    for name in (wanted, f"{wanted}:latest"):
        if name in known:
            return name
    return known[0] if known else wanted


async def slots(
    session: aiohttp.ClientSession,
    program: Program,
    argv: Sequence[str],
    environ: Mapping[str, str],
) -> int:
    """Return how many requests it computes at once: as it says itself, else its command, else what it usually is."""
    if program.properties:
        answer = await fetch_json(session, program.properties)
        total = (
            cast("dict[str, object]", answer).get("total_slots")
            if isinstance(answer, dict)
            else None
        )
        if isinstance(total, int) and total > 0:
            return total
    said = option_value(argv, program.slots) or environ.get(program.slots_variable, "")
    return (
        int(said) if said.isascii() and said.isdigit() and int(said) > 0 else program.slots_default
    )


async def fetch_json(session: aiohttp.ClientSession, path: str) -> Any:
    """Return what a path of the program answers; None for anything but JSON with status 200."""
    try:
        async with session.get(path, allow_redirects=False) as answer:
            body = await answer.content.read(ANSWER_BYTES) if answer.status == 200 else b""
            while (
                answer.status == 200
                and len(body) < ANSWER_BYTES
                and (more := await answer.content.readany())
            ):
                body += more
        return orjson.loads(body)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None
