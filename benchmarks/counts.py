"""``python -m benchmarks.counts``: count operations and compare them with ``bounds.json``.

The counts do not depend on the machine's speed. A count that depends on aiohttp's version is the
difference from a floor in the same environment. There are bounds for each Python version; a version
without its own has the loosest of all. The exit code is 1 if a bound is exceeded. ``--write``
stores the counts, with a margin, as the bounds of this Python: use it after an improvement.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.clients.catalogue import CLIENTS
from benchmarks.processes import ServerProcess, run

BOUNDS: Final = Path(__file__).parent / "bounds.json"

PYTHON: Final = f"{sys.version_info[0]}.{sys.version_info[1]}"

MARGINS: Final = {
    "calls per request": (0.05, 15.0),
    "calls per chunk": (0.0, 1.0),
    "blocks per kept chunk": (0.0, 0.5),
    "bytes per kept chunk": (0.1, 0.0),
    "handovers per request": (0.0, 0.5),
    "waits per request": (0.0, 0.5),
    "handovers per chunk": (0.0, 0.1),
    "waits per chunk": (0.0, 0.1),
    "handovers per paced event": (0.0, 0.3),
    "waits per paced event": (0.0, 0.6),
}
"""How far a count may exceed the measured one: a share of it, plus a fixed number."""

FLOORS: Final = {"async": "floor-aiohttp", "sync": "floor-bridge"}


def count(*, wasteful: bool = False) -> dict[str, float]:
    """Return every count by ``style: name``. Where there is a floor it is already subtracted."""
    found: dict[str, float] = {}
    with ServerProcess() as server:
        for style, floor_name in FLOORS.items():
            ours, floor = CLIENTS[f"ours-{style}"], CLIENTS[floor_name]
            if wasteful:
                ours = replace(
                    ours, target=f"benchmarks.clients.wasteful:Wasteful{style.capitalize()}"
                )
            for what in ("calls", "kept") + (("crossings",) if style == "sync" else ()):
                result = run(ours, sys.executable, "counting", what, ours.target, style, server.url)
                least = (
                    run(floor, sys.executable, "counting", what, floor.target, style, server.url)
                    if what == "calls"
                    else {}
                )
                found |= {
                    f"{style}: {name}": value - least.get(name, 0.0)
                    for name, value in result.items()
                }
    return found


def bounds(found: dict[str, float]) -> dict[str, float]:
    """Return the bounds for these counts."""
    made: dict[str, float] = {}
    for name, value in found.items():
        share, more = MARGINS[name.partition(": ")[2]]
        made[name] = round(value + abs(value) * share + more, 2)
    return made


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counts", description=__doc__)
    parser.add_argument("--write", action="store_true", help="store new bounds")
    parser.add_argument(
        "--wasteful", action="store_true", help="count the clients that must exceed every bound"
    )
    arguments = parser.parse_args()
    found = count(wasteful=arguments.wasteful)
    stored: dict[str, dict[str, float]] = json.loads(BOUNDS.read_text(encoding="utf-8"))
    if arguments.write:
        stored[PYTHON] = bounds(found)
        BOUNDS.write_text(
            json.dumps(dict(sorted(stored.items())), indent=2) + "\n", encoding="utf-8"
        )
    allowed = stored.get(PYTHON) or {
        name: max(by[name] for by in stored.values()) for name in found
    }
    passed = 0
    for name, value in found.items():
        over = value > allowed[name]
        passed += over
        print(f"{'OVER' if over else 'ok':<5}{name:<40}{value:>10.2f}   at most {allowed[name]:g}")
    missing = allowed.keys() - found.keys()
    if missing:
        print(f"bounds without a count: {', '.join(sorted(missing))}")
    return 1 if passed or missing else 0


if __name__ == "__main__":
    sys.exit(main())
