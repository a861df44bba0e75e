"""What all tests share."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from hypothesis import settings

# Properties are bounded by their number of examples: a slow machine is not a failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# Programs that are installed on this machine do not serve the tests' workloads. Tests of programs
# set this variable themselves.
os.environ.setdefault("INFERENCEKEY_LOCAL_PROGRAMS", "0")

# A shell starts background jobs with SIGINT ignored, and their children inherit that. Ctrl-C would
# then do nothing in any test.
if (
    threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
