"""The system clock and the manual clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from inferencekey.local.clock import Clock, ManualClock, SystemClock

pytestmark = pytest.mark.anyio

START = datetime(2025, 3, 5, 12, 0, tzinfo=timezone(timedelta(hours=2)))


async def test_the_system_clock_is_aware_and_advances() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    before = clock.monotonic()
    with clock.limit(0.01) as scope:
        await asyncio.Event().wait()
    assert scope.cancelled_caught
    assert clock.monotonic() > before
    with clock.limit(None) as scope:
        await asyncio.sleep(0)
    assert not scope.cancelled_caught


async def test_a_manual_clock_stands_still_until_it_is_advanced() -> None:
    clock = ManualClock(START)
    assert clock.now() == START
    assert clock.now().tzinfo is UTC
    await clock.advance(90)
    assert clock.now() == START + timedelta(seconds=90)
    assert clock.monotonic() == 90


async def test_limits_are_applied_in_order_and_not_early() -> None:
    clock = ManualClock(START)
    ended: list[tuple[str, float]] = []

    async def wait(name: str, seconds: float | None) -> None:
        with clock.limit(seconds):
            await asyncio.Event().wait()
        ended.append((name, clock.monotonic()))

    tasks = [
        asyncio.create_task(wait(name, after))
        for name, after in (("b", 20), ("a", 10), ("0", 0), ("never", None))
    ]
    await clock.advance(9.5)
    assert ended == [("0", 0)]
    await clock.advance(100)
    assert ended == [("0", 0), ("a", 10), ("b", 20)]
    tasks[-1].cancel()
    await asyncio.wait(tasks)


async def test_a_limit_after_its_block_has_no_effect() -> None:
    clock: Clock = ManualClock(START)
    with clock.limit(10) as scope:
        await asyncio.sleep(0)
    assert isinstance(clock, ManualClock)
    await clock.advance(20)
    assert not scope.cancelled_caught
