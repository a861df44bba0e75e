"""How much memory an ``embed`` takes at its peak, as a multiple of what must be there: the body and the floats.

The goal is for the resident set: what ``tracemalloc`` sees is far more, since orjson asks for twelve times a body's size
and touches a part of it.
"""

from __future__ import annotations

import urllib.request

from benchmarks.clients.catalogue import CLIENTS
from benchmarks.probes.figures import Context, Figure, compared
from benchmarks.processes import run
from benchmarks.wire import embed_path

WHO = (
    "floor-aiohttp",
    "floor-bridge",
    "ours-async",
    "ours-sync",
    "official-sync",
    "openai-async",
    "openai-sync",
)
ROUNDS = 5


def measure(context: Context) -> list[Figure]:
    """Return the peaks."""
    asked = urllib.request.Request(context.url + embed_path(), data=b"{}")  # noqa: S310 - our own server
    with urllib.request.urlopen(asked) as answer:  # noqa: S310
        body = len(answer.read())
    figures: list[Figure] = []
    for what, options, who in (
        ("embed 256 × 1024, peak allocated by Python", ["--trace"], WHO[:4]),
        ("embed 256 × 1024, rise of the resident peak", [], WHO),
    ):
        for name in who:
            spec = CLIENTS[name]
            if spec.environment not in context.python:
                continue
            context.say(f"{what}: {name}")
            python = context.python[spec.environment]
            found = [
                run(spec, python, "embed_memory", spec.target, spec.style, context.url, *options)
                for _ in range(min(ROUNDS, context.rounds))
            ]
            goal = 1.2 if not options and spec.role == "ours" else None
            peaks = [said["peak"] / 1e6 for said in found]
            least = [(body + said["floats"]) / 1e6 for said in found]
            figures.append(
                compared(what, name, "MB", peaks, least, than="(body + floats)", goal=goal)
            )
    return figures
