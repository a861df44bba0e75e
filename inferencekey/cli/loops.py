"""Which event loop a command that serves runs on."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

__all__ = ["UVLOOP_VARIABLE", "serving_loop"]

UVLOOP_VARIABLE = "INFERENCEKEY_UVLOOP"


def serving_loop() -> dict[str, Any]:
    """Return what ``anyio.run`` takes as ``backend_options``: uvloop where it is installed, unless the variable says 0."""
    refused = os.environ.get(UVLOOP_VARIABLE, "").strip().lower() in ("0", "off", "no", "false")
    return {"use_uvloop": not refused and importlib.util.find_spec("uvloop") is not None}
