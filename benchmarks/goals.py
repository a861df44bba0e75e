"""The goals: CPU time or wall time of one client, as a share of another's in the same rounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Goal:
    """The client needs at most *bound* times what *than* needs."""

    case: str
    client: str
    than: str
    bound: float
    of: Literal["cpu", "wall"] = "cpu"


GOALS: Final = (
    *(
        Goal(case, "ours-async", "floor-aiohttp", 1.5)
        for case in ("stream-64", "stream-1", "stream-paced-200")
    ),
    *(
        Goal(case, "ours-sync", "floor-httpclient", 1.6)
        for case in ("stream-64", "stream-1", "stream-paced-200")
    ),
    *(
        Goal(case, client, "official-sync", 0.6)
        for case in ("stream-64", "stream-1", "stream-paced-200")
        for client in ("ours-async", "ours-sync")
    ),
    *(Goal(case, "ours-async", "openai-async", 0.05) for case in ("stream-64", "stream-1")),
    *(
        Goal(case, "ours-async", "floor-aiohttp", 1.0)
        for case in ("unary-1", "unary-64", "unary-512")
    ),
    *(
        Goal(case, "ours-async+uvloop", "floor-aiohttp", 0.8)
        for case in ("unary-1", "unary-64", "unary-512")
    ),
    *(Goal(case, "ours-sync", "floor-bridge", 1.1) for case in ("unary-1", "unary-threads")),
    *(
        Goal(case, "ours-sync+uvloop", "floor-bridge+uvloop", 1.1)
        for case in ("unary-1", "unary-threads")
    ),
    Goal("unary-threads", "ours-sync+uvloop", "official-sync", 1.0),
    Goal("stream-paced-200", "ours-async", "floor-aiohttp", 1.05, "wall"),
    Goal("stream-paced-200", "ours-sync", "floor-httpclient", 1.05, "wall"),
    Goal("stream-paced-one", "ours-sync", "official-sync", 1.3),
    Goal("embed", "ours-async", "floor-aiohttp", 1.15),
    Goal("embed", "ours-sync", "floor-bridge", 1.15),
)
