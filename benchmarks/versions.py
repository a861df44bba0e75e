"""The versions of the packages that affect a client's speed, in this environment."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Final

NAMES: Final = (
    "inferencekey",
    "aiohttp",
    "orjson",
    "uvloop",
    "yarl",
    "multidict",
    "openai",
    "huggingface_hub",
    "httpx",
    "httpx2",
)


def versions() -> dict[str, str]:
    """Return the installed versions by name, with Python's own."""
    found = {"python": platform.python_version()}
    for name in NAMES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
