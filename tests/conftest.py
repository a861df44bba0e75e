"""What all tests share."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from hypothesis import settings

# Properties are bounded by their number of examples: a busy machine is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# What a developer happens to have installed does not serve the tests' workloads; tests of programs say otherwise.
os.environ.setdefault("INFERENCEKEY_LOCAL_PROGRAMS", "0")

# A shell starts its background jobs with SIGINT ignored, and so are their children then: Ctrl-C would do nothing in any test.
if (
    threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
