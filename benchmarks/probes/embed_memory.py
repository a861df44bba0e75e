"""The peak memory of an ``embed``, as a multiple of the body and the floats, which it must hold.

The goal is for the resident set. ``tracemalloc`` counts far more, because orjson allocates twelve
times the size of a body and uses only a part of it.
"""

from __future__ import annotations

import urllib.request

from benchmarks.clients.catalogue import CLIENTS
from benchmarks.probes.figures import Context, Figure, make_figure
from benchmarks.processes import run
from benchmarks.wire import embed_path

SUBJECTS = (
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
    request = urllib.request.Request(context.url + embed_path(), data=b"{}")  # noqa: S310
    with urllib.request.urlopen(request) as response:  # noqa: S310
        body = len(response.read())
    figures: list[Figure] = []
    for what, options, subject in (
        ("embed 256 × 1024, peak allocated by Python", ["--trace"], SUBJECTS[:4]),
        ("embed 256 × 1024, rise of the resident peak", [], SUBJECTS),
    ):
        for name in subject:
            spec = CLIENTS[name]
            if spec.environment not in context.python:
                continue
            context.progress(f"{what}: {name}")
            python = context.python[spec.environment]
            found = [
                run(spec, python, "embed_memory", spec.target, spec.style, context.url, *options)
                for _ in range(min(ROUNDS, context.rounds))
            ]
            goal = 1.2 if not options and spec.role == "ours" else None
            peaks = [result["peak"] / 1e6 for result in found]
            least = [(body + result["floats"]) / 1e6 for result in found]
            figures.append(
                make_figure(what, name, "MB", peaks, least, than="(body + floats)", goal=goal)
            )
    return figures
