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

# A shell starts background jobs with SIGINT ignored, ``nohup`` its command with SIGHUP ignored, and
# children inherit that. Ctrl-C and a closed terminal would then do nothing in any test.
if threading.current_thread() is threading.main_thread():
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
