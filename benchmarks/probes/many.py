"""10,000 open streams in one process: memory for each, its growth, and stalls of the loop."""

from __future__ import annotations

import sys

from benchmarks.clients.catalogue import CLIENTS
from benchmarks.probes.figures import Context, Figure, make_figure
from benchmarks.processes import run

STREAMS = 10_000
SECONDS = 20.0


def measure(context: Context) -> list[Figure]:
    """Return the figures of many streams, of ours and the floor in turn.

    The number of streams is lower if the limit of open files does not allow all of them.
    """
    count = _allow_open_files()
    found: dict[str, list[dict[str, float]]] = {"floor": [], "ours": []}
    for number in range(min(3, context.rounds)):
        for subject in ("floor", "ours"):
            context.progress(f"many: round {number + 1}, {subject}, {count} streams")
            result = run(
                CLIENTS[f"{subject}-aiohttp" if subject == "floor" else "ours-async"],
                context.python["own"],
                "many",
                subject,
                str(count),
                str(SECONDS),
                context.url,
            )
            found[subject].append(result | {"worst": max(result["stalls"])})
    figures: list[Figure] = []
    for what, key, unit, factor, goal in (
        ("memory per stream", "per stream", "kB", 1e-3, None),
        (f"memory per stream, {SECONDS:g} s later", "per stream at the end", "kB", 1e-3, None),
        ("longest stall once open", "worst", "ms", 1.0, 20.0),
        ("longest stall while opening", "opening stall", "ms", 1.0, None),
        ("stall of a full garbage collection", "collecting stall", "ms", 1.0, None),
        ("CPU per chunk, one every 5 s on each", "cpu per chunk", "µs", 1e6, None),
    ):
        floor = [result[key] * factor for result in found["floor"]]
        mine = [result[key] * factor for result in found["ours"]]
        titled = f"{count:,} streams: {what}"
        figures.append(make_figure(titled, "floor-aiohttp", unit, floor))
        figures.append(
            make_figure(
                titled, "ours-async", unit, mine, None if goal else floor, than="floor", goal=goal
            )
        )
    return figures


def _allow_open_files() -> int:
    """Raise the limit of open files, also for children; return how many streams it allows."""
    if sys.platform == "win32":
        return 500
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = STREAMS + 1000
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return min(STREAMS, limit - 500)
