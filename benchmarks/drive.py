"""One round of a case, in a client's own process. Every client is called by the same loop."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from benchmarks.wire import (
    EMBED_COUNT,
    EMBED_SIZE,
    ENSURED,
    ENSURED_NUMBER,
    EVENTS,
    TEXT_LENGTH,
    text_of,
    workload_slug,
)


@dataclass(frozen=True)
class Order:
    """A round to run.

    Args:
        work: which call.
        slug: of the workload.
        calls: how many calls in total.
        concurrency: how many of them in flight.
    """

    work: str
    slug: str
    calls: int
    concurrency: int


@dataclass(frozen=True)
class Reading:
    """The result of a round in seconds: CPU time of the process, wall time, median wait."""

    cpu: float
    wall: float
    wait: float | None


class AsyncDriver:
    """Runs rounds of an async client on one loop, which is stopped between them."""

    def __init__(self, make: Callable[[str], Any], url: str, runner: asyncio.Runner) -> None:
        self._make = make
        self._url = url
        self._runner = runner
        self._client = runner.run(_make_client(make, url))

    def round(self, order: Order) -> Reading:
        """Run a round."""
        return self._runner.run(self._round(order))

    async def _round(self, order: Order) -> Reading:
        waits: list[float] = []
        call = self._call(order, waits)
        each = _split(order.calls, order.concurrency)

        async def lane(calls: int) -> None:
            for _ in range(calls):
                await call()

        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        if len(each) == 1:
            await lane(each[0])
        else:
            await asyncio.gather(*map(lane, each))
        return _reading(cpu, wall, waits)

    def _call(self, order: Order, waits: list[float]) -> Callable[[], Awaitable[None]]:
        method, check, arguments = (
            _method(self._client, order),
            CHECKS.get(order.work),
            _arguments(order),
        )

        async def call() -> None:
            result = await method(*arguments)
            assert check is not None
            check(result, order.slug)

        async def first() -> None:
            began = time.perf_counter()
            waits.append(await self._client.first() - began)

        async def fresh() -> None:
            began = time.perf_counter()
            other = self._make(self._url)
            waits.append(await other.first() - began)
            await other.close()

        return {"first": first, "fresh": fresh}.get(order.work, call)

    def close(self) -> None:
        """Close the client."""
        self._runner.run(self._client.close())


class SyncDriver:
    """Runs rounds of a sync client. Concurrent calls run in threads that all rounds share."""

    def __init__(self, make: Callable[[str], Any], url: str) -> None:
        self._make = make
        self._url = url
        self._client = make(url)
        self._threads: ThreadPoolExecutor | None = None

    def round(self, order: Order) -> Reading:
        """Run a round."""
        waits: list[float] = []
        call = self._call(order, waits)
        each = _split(order.calls, order.concurrency)
        if len(each) > 1 and self._threads is None:
            self._threads = ThreadPoolExecutor(order.concurrency)

        def lane(calls: int) -> None:
            for _ in range(calls):
                call()

        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        if self._threads is None or len(each) == 1:
            lane(each[0])
        else:
            list(self._threads.map(lane, each))
        return _reading(cpu, wall, waits)

    def _call(self, order: Order, waits: list[float]) -> Callable[[], None]:
        method, check, arguments = (
            _method(self._client, order),
            CHECKS.get(order.work),
            _arguments(order),
        )

        def call() -> None:
            result = method(*arguments)
            assert check is not None
            check(result, order.slug)

        def first() -> None:
            began = time.perf_counter()
            waits.append(self._client.first() - began)

        def fresh() -> None:
            began = time.perf_counter()
            other = self._make(self._url)
            waits.append(other.first() - began)
            other.close()

        return {"first": first, "fresh": fresh}.get(order.work, call)

    def close(self) -> None:
        """Close the client and its threads."""
        if self._threads is not None:
            self._threads.shutdown()
        self._client.close()


def _method(client: Any, order: Order) -> Callable[..., Any]:
    method: Callable[..., Any] = getattr(client, "first" if order.work == "fresh" else order.work)
    return method


def _arguments(order: Order) -> tuple[str, ...]:
    return (order.slug,) if order.work in ("stream", "ensure", "ensure_all") else ()


async def _make_client(make: Callable[[str], Any], url: str) -> Any:
    return make(url)


def _reading(cpu: float, wall: float, waits: list[float]) -> Reading:
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Reading(cpu, wall, statistics.median(waits) if waits else None)


def _split(calls: int, concurrency: int) -> list[int]:
    least, more = divmod(calls, concurrency)
    return [count for lane in range(concurrency) if (count := least + (lane < more))]


def _check_stream(texts: list[str], slug: str) -> None:
    """Check that every chunk arrived: losing chunks must not make a client look fast."""
    assert len(texts) == EVENTS[slug], f"{len(texts)} texts of {EVENTS[slug]}"
    assert texts[1] == text_of(0), texts[1]
    assert texts[-2] == text_of(EVENTS[slug] - 3), texts[-2]


def _check_unary(text: str, _: str) -> None:
    assert len(text) == TEXT_LENGTH, len(text)


def _check_vectors(vectors: Any, _: str) -> None:
    assert len(vectors) == EMBED_COUNT
    assert len(vectors[-1]) == EMBED_SIZE


def _check_count(count: int, slug: str) -> None:
    assert count == ENSURED, f"{count} of {ENSURED} in {slug}"


def _check_ensured(slug: str, _: str) -> None:
    assert slug == workload_slug(ENSURED_NUMBER), slug


CHECKS: dict[str, Callable[[Any, str], None]] = {
    "stream": _check_stream,
    "unary": _check_unary,
    "embed": _check_vectors,
    "ensure": _check_ensured,
    "ensure_all": _check_count,
}
