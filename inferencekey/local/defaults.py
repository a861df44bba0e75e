"""The local platform's fixed numbers and places, and how much of this machine it may use.

Port and data directory are fixed so that what a user exported in a shell survives a restart of the platform.
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
"""How long a call waits for a workload that is still coming up."""

HEARTBEAT_SECONDS: Final = 10.0
"""Between two comments on a silent stream of readiness events."""

CLOSE_SECONDS: Final = 3.0
"""What calls in flight get when the platform stops."""

DRAIN_SECONDS: Final = 60.0
"""What calls in flight get when their engine is replaced, or their workload deleted or stopped by its schedule."""

IDEMPOTENCY_SECONDS: Final = 24 * 3600.0
"""How long an idempotency key is remembered."""

DATA_BODY_BYTES: Final = 16 * 1024 * 1024
CONTROL_BODY_BYTES: Final = 1024 * 1024


def default_data_dir() -> Path:
    """Return where the local platform of this user keeps everything."""
    import platformdirs

    return Path(platformdirs.user_data_dir("inferencekey")) / "local"


def usable_cpus() -> int:
    """Return how many processors this process may use; at least 1."""
    count = os.cpu_count() or 1
    if sys.platform == "linux":
        # A container or `taskset` may allow fewer processors than the machine has.
        count = len(os.sched_getaffinity(0))
    return count
