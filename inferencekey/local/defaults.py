"""The defaults of the local platform, and how many processors of this machine it may use.

The port and the data directory are the same at every start, so that the variables that a user has
exported in a shell stay valid.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

__all__ = [
    "CLOSE_SECONDS",
    "CONTROL_BODY_BYTES",
    "DATA_BODY_BYTES",
    "DEFAULT_HOST",
    "DEFAULT_PORT",
    "DEFAULT_PROJECT",
    "DRAIN_SECONDS",
    "HEARTBEAT_SECONDS",
    "HOLD_SECONDS",
    "IDEMPOTENCY_SECONDS",
    "default_data_dir",
    "usable_cpus",
]

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 4747
DEFAULT_PROJECT: Final = "local"

HOLD_SECONDS: Final = 60.0
"""How long a call waits for a workload that is not ready yet."""

HEARTBEAT_SECONDS: Final = 10.0
"""How long a stream of readiness events is silent before a comment is sent."""

CLOSE_SECONDS: Final = 3.0
"""How long running calls may continue when the platform stops."""

DRAIN_SECONDS: Final = 60.0
"""How long running calls may continue when their engine is replaced or stopped."""

IDEMPOTENCY_SECONDS: Final = 24 * 3600.0
"""How long an idempotency key is stored."""

DATA_BODY_BYTES: Final = 16 * 1024 * 1024
CONTROL_BODY_BYTES: Final = 1024 * 1024


def default_data_dir() -> Path:
    """Return the data directory of this user's local platform."""
    import platformdirs

    return Path(platformdirs.user_data_dir("inferencekey")) / "local"


def usable_cpus() -> int:
    """Return the number of processors that this process may use."""
    count = os.cpu_count() or 1
    if sys.platform == "linux":
        # A container or `taskset` may allow fewer processors than the machine has.
        count = len(os.sched_getaffinity(0))
    return count
