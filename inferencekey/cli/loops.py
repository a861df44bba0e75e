"""Which event loop a command that serves runs on."""

from __future__ import annotations

import importlib.util
from typing import Any

from inferencekey.config import UVLOOP

__all__ = ["UVLOOP_VARIABLE", "serving_loop"]

UVLOOP_VARIABLE = UVLOOP.name


def serving_loop() -> dict[str, Any]:
    """Return what ``anyio.run`` takes as ``backend_options``: uvloop where it is installed, unless the variable says 0."""
    return {"use_uvloop": UVLOOP.read() and importlib.util.find_spec("uvloop") is not None}
