"""Many workloads at once."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from inferencekey._async.control_api import ControlApi, Listing
from inferencekey._core.control.bulk import Target
from inferencekey._core.control.converge import Converge, Finish
from inferencekey.models import OnDrift

__all__ = ["converge_all", "run_each"]

T = TypeVar("T")
R = TypeVar("R")


async def converge_all(
    control: ControlApi, targets: Sequence[Target], on_drift: OnDrift, max_concurrency: int
) -> list[Finish | Exception]:
    """Ensure every target; return what became of each, in order.

    One list request for each project answers all first reads.

    Raises:
        Exception: all are of one project, and it could not be listed: nothing was done.
    """
    projects = list(dict.fromkeys(target.project for target in targets))
    listed = dict(
        zip(projects, await run_each(projects, max_concurrency, control.list), strict=True)
    )
    for listing in listed.values():
        if isinstance(listing, Listing):
            listing.index()
        elif len(projects) == 1:
            raise listing

    async def converge_one(target: Target) -> Finish:
        listing = listed[target.project]
        if not isinstance(listing, Listing):
            raise copy.copy(listing)  # each says whose it is
        return await control.converge(
            Converge(target.spec, on_drift, target.project), target.project, listing
        )

    return await run_each(targets, max_concurrency, converge_one)


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
