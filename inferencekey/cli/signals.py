"""The signals that ask a command to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import anyio

__all__ = ["interrupt_on_stop_signals", "on_signal", "stop_event", "stop_flag", "stop_signals"]


def stop_signals() -> list[signal.Signals]:
    """Return the signals that stop a command: Ctrl-C, SIGTERM and a closed terminal."""
    signals = [signal.SIGINT, signal.SIGTERM]
    # nohup starts a command with SIGHUP ignored, so that the command survives its terminal.
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    return signals


@contextmanager
def on_signal(do: Callable[[], object]) -> Generator[None]:
    """Call *do* in the running event loop on each stop signal, until the block ends."""
    loop = asyncio.get_running_loop()
    numbers = stop_signals()
    for number in numbers:
        loop.add_signal_handler(number, do)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@asynccontextmanager
async def stop_event() -> AsyncGenerator[anyio.Event]:
    """Give an event that the first stop signal sets."""
    import anyio

    event = anyio.Event()
    with on_signal(event.set):
        yield event


@contextmanager
def stop_flag() -> Generator[Callable[[], bool]]:
    """Let the stop signals set a flag; give the function that reads it.

    A ``KeyboardInterrupt`` can come at any bytecode, for example when a process has started and its
    handle is not assigned yet: then nothing could end that process.
    """
    received: list[int] = []
    before = {
        number: signal.signal(number, lambda got, frame: received.append(got))
        for number in stop_signals()
    }
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt_on_stop_signals() -> None:
    """Make SIGTERM and a closed terminal raise ``KeyboardInterrupt``, as Ctrl-C does.

    Python's default for both ends the process at once, without its ``finally`` blocks.
    """
    for number in stop_signals():
        if number != signal.SIGINT:
            signal.signal(number, _raise_interrupt)


def _raise_interrupt(number: int, frame: object) -> None:
    signal.raise_signal(signal.SIGINT)
