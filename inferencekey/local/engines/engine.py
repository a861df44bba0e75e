"""What an engine is to the manager and to the planes, whatever process is behind it.

This is the whole interface of the package: the modules beside it choose, start and stop engines.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import attrs

from inferencekey.local.engines.log_text import LogPlace
from inferencekey.local.records import StoredWorkload

__all__ = ["Choice", "Choose", "ExitEvent", "OnStep", "RunningEngine"]

OnStep = Callable[[str, str, str | None], None]
"""Receives progress in the event loop: a readiness phase, a message, and a step or ``None``.

A step is a finer position, such as ``download 48 %``.
"""


class ExitEvent(Protocol):
    """An event that is set when a process has ended."""

    async def wait(self) -> object: ...


class RunningEngine(Protocol):
    """An engine that accepts requests, as one workload uses it.

    Attributes:
        address: ``http://127.0.0.1:PORT``.
        api_key: what the engine expects as ``Authorization: Bearer …``; empty: nothing.
        model_name: what the engine expects as the ``model`` of a request.
        slots: how many requests it computes at the same time.
        installed: whether it is a program that the user installed. Such a program gets requests
            unchanged, except for ``model``. Otherwise it is a stand-in.
        streams_only: whether closing a stream is the only way to stop its computation
            (llama.cpp).
        exited: set when the process has ended.
    """

    @property
    def address(self) -> str: ...

    @property
    def api_key(self) -> str: ...

    @property
    def model_name(self) -> str: ...

    @property
    def slots(self) -> int: ...

    @property
    def installed(self) -> bool: ...

    @property
    def streams_only(self) -> bool: ...

    @property
    def exited(self) -> ExitEvent: ...

    def describe_exit(self) -> str:
        """Return one line: how the process ended, and the last lines of its log."""
        ...


@attrs.frozen
class Choice:
    """The engine that was chosen for one workload.

    Args:
        acquire: starts the replica with the given number (from 0), or joins the users of one that
            runs already. The engine is held until the block ends.
        ready_message: returns the message of the ``ready`` phase, from the name of the model.
        log: returns where the replica with the given number logs; ``None`` when no engine of this
            workload has run as the workload is now.
        engine: the name of the engine, for people.
        installed: whether it is a program that the user installed, not a stand-in.
    """

    acquire: Callable[[OnStep, int], AbstractAsyncContextManager[RunningEngine]]
    ready_message: Callable[[str], str]
    log: Callable[[int], LogPlace | None]
    engine: str
    installed: bool


Choose = Callable[[StoredWorkload], Choice]
"""Raises :class:`~inferencekey.local.errors.EngineError` when no engine can serve the workload."""
