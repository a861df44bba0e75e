"""Many workloads at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

__all__ = ["run_each"]

T = TypeVar("T")
R = TypeVar("R")


async def run_each(
    items: Sequence[T], max_concurrency: int, function: Callable[[T], Awaitable[R]]
) -> list[R | Exception]:
    """Await *function* for every item, *max_concurrency* at a time.

    Returns:
        What it returned or raised for each, in order.
    """
    outcomes: dict[int, R | Exception] = {}
    numbered = iter(enumerate(items))

    async def work() -> None:
        for number, item in numbered:
            try:
                outcomes[number] = await function(item)
            except Exception as error:
                outcomes[number] = error

    async with anyio.create_task_group() as group:
        for _ in range(min(max_concurrency, len(items))):
            group.start_soon(work)
    return [outcomes[number] for number in range(len(items))]
