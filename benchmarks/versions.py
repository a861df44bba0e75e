"""What is installed of that which matters to a client's speed, in the environment that asks."""

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
    """Return the versions by name, Python's own with them."""
    found = {"python": platform.python_version()}
    for name in NAMES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
