"""Many workloads at once."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from inferencekey._async.control_api import Control, Listing
from inferencekey._core.control.bulk import Target
from inferencekey._core.control.converge import Converge, Finish
from inferencekey.models import OnDrift

__all__ = ["converge_all", "each"]

T = TypeVar("T")
R = TypeVar("R")


async def converge_all(
    control: Control, targets: Sequence[Target], on_drift: OnDrift, at_once: int
) -> list[Finish | Exception]:
    """Ensure every target; return what became of each, in order.

    One list request for each project answers all first reads.

    Raises:
        Exception: all are of one project, and it could not be listed: nothing was done.
    """
    projects = list(dict.fromkeys(target.project for target in targets))
    listed = dict(zip(projects, await each(projects, at_once, control.list), strict=True))
    for listing in listed.values():
        if isinstance(listing, Listing):
            listing.index()
        elif len(projects) == 1:
            raise listing

    async def one(target: Target) -> Finish:
        listing = listed[target.project]
        if not isinstance(listing, Listing):
            raise copy.copy(listing)  # each says whose it is
        return await control.converge(
            Converge(target.spec, on_drift, target.project), target.project, listing
        )

    return await each(targets, at_once, one)


async def each(
    items: Sequence[T], at_once: int, do: Callable[[T], Awaitable[R]]
) -> list[R | Exception]:
    """Await *do* for every item, *at_once* at a time; return in order what it returned or raised."""
    outcomes: dict[int, R | Exception] = {}
    numbered = iter(enumerate(items))

    async def work() -> None:
        for number, item in numbered:
            try:
                outcomes[number] = await do(item)
            except Exception as error:
                outcomes[number] = error

    async with anyio.create_task_group() as group:
        for _ in range(min(at_once, len(items))):
            group.start_soon(work)
    return [outcomes[number] for number in range(len(items))]
