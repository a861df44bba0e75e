"""The import, and the time from it to a first response. Each measurement is a new process."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path

from benchmarks.clients.catalogue import ClientSpec
from benchmarks.probes.figures import Context, Figure, make_figure
from benchmarks.processes import HERE, run
from benchmarks.stats import Spread

WHATS = (
    ("floor", "own"),
    ("ours-import", "own"),
    ("ours-async", "own"),
    ("ours-sync", "own"),
    ("official-sync", "official"),
    ("openai-sync", "openai"),
)


def measure(context: Context) -> list[Figure]:
    """Return the figures of the start."""
    cpu: dict[str, list[float]] = {}
    loaded: list[str] = []
    for number in range(context.rounds + 1):
        context.progress(f"startup: round {number} of {context.rounds}")
        for what, environment in WHATS:
            if environment not in context.python:
                continue
            spec = ClientSpec(what, "", "sync", "ours", environment)
            result = run(spec, context.python[environment], "startup", what, context.url)
            # The first round compiles modules and fills the file cache.
            if number:
                cpu.setdefault(what, []).append(result["cpu"] * 1e3)
            if what == "ours-import":
                loaded = result["loaded"]
    floor = cpu.pop("floor")
    figures = [make_figure("import to first response, CPU", "floor: aiohttp + orjson", "ms", floor)]
    for what, values in cpu.items():
        if what == "ours-import":
            listed = f"import inferencekey, CPU (loads {', '.join(loaded) or 'no dependency'})"
            figures.append(make_figure(listed, "ours", "ms", values, goal=20))
        else:
            goal = 1.45 if what.startswith("ours") else None
            figures.append(
                make_figure(
                    "import to first response, CPU",
                    what,
                    "ms",
                    values,
                    floor,
                    than="floor",
                    goal=goal,
                )
            )
    size = installed_size() / 1e6
    figures.append(
        Figure("installed size of the core closure", "ours", "MB", Spread(size, size, size))
    )
    return figures


def installed_size() -> int:
    """Return the size in bytes of the package and its core dependencies, without compiled files."""
    total = 0
    seen: set[str] = set()
    waiting = ["inferencekey"]
    while waiting:
        name = re.split(r"[ <>=!~;\[(]", waiting.pop())[0].lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if name == "inferencekey":  # measured in a checkout
                files = [
                    path for path in (HERE.parent / "inferencekey").rglob("*") if path.is_file()
                ]
                total += sum(path.stat().st_size for path in files if path.suffix != ".pyc")
                waiting += _declared()
            continue
        for file in found.files or []:
            path = Path(str(found.locate_file(file)))
            if path.suffix != ".pyc" and path.is_file():
                total += path.stat().st_size
        waiting += [
            line for line in found.requires or [] if "extra ==" not in line and _applies(line)
        ]
    return total


def _declared() -> list[str]:
    import tomllib

    declared: list[str] = tomllib.loads(
        (HERE.parent / "pyproject.toml").read_text(encoding="utf-8")
    )["project"]["dependencies"]
    return declared


def _applies(requirement: str) -> bool:
    """Evaluate the platform marker. A package for another Python is not installed here anyway."""
    return "sys_platform" not in requirement or f'"{sys.platform}"' in requirement
