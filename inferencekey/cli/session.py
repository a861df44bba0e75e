"""One client on one event loop for all steps of a command.

A command that asks a question cannot be one coroutine. While it waits for the terminal, it blocks
the event loop, and Ctrl-C would only request a cancellation that the blocked loop cannot deliver.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from inferencekey.cli.connect import connect

__all__ = ["Session"]

T = TypeVar("T")


class Session:
    """A client and the event loop that it is used on.

    Args:
        base_url: ``--base-url``.

    Raises:
        ConfigurationError: there is no token, or a setting is wrong.
    """

    def __init__(self, base_url: str | None) -> None:
        self.mgmt = connect(base_url)
        self._runner = asyncio.Runner()

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        """Run one step of the command."""
        return self._runner.run(step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._runner:
            self._runner.run(self.mgmt.aclose())
