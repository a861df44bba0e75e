"""The signals that ask a command to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["SIGNALS", "on_signal", "unless_ignored"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def unless_ignored(number: signal.Signals) -> bool:
    """Say whether a signal is to be listened to: a hang-up that ``nohup`` took away is not."""
    return number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN


@contextmanager
def on_signal(do: Callable[[], object]) -> Generator[None]:
    """Call *do* in the running loop on Ctrl-C, SIGTERM and a closed terminal, until the block ends."""
    loop = asyncio.get_running_loop()
    numbers = [number for number in SIGNALS if unless_ignored(number)]
    for number in numbers:
        loop.add_signal_handler(number, do)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
