"""The callers: tasks that share one AsyncDataClient, and threads that share one DataClient.

They use every way to make a call and every way to leave one.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from typing import ClassVar

from inferencekey import (
    AsyncEndpoint,
    AsyncTextStream,
    Endpoint,
    InferenceKeyError,
    TextChunk,
    TextStream,
    Timeouts,
)
from soak.ledger import Ledger
from soak.plans import EMBED, ENDLESS, STREAM, TIMEOUTS, UNARY, Fault, Plan

__all__ = ["AsyncCaller", "SyncCaller"]

LIMITS = Timeouts(**TIMEOUTS)
READ = {"read": 60, "slow": 8}


class Caller:
    """One task or thread. Its sequence of calls depends only on its seed."""

    STREAMING: ClassVar = {**READ, "break": 7, "drop": 7, "close": 6}
    WHOLE: ClassVar = {"text": 12, "embed": 4}

    def __init__(self, name: str, seed: int, ledger: Ledger) -> None:
        self._name = name
        self._rng = random.Random(f"{seed} {name}")  # noqa: S311
        self._ledger = ledger
        self._count = 0

    def _next(self) -> tuple[Plan, str]:
        rng = self._rng
        self._count += 1
        way = _choice(rng, {**self.STREAMING, **self.WHOLE})
        table = {"text": UNARY, "embed": EMBED}.get(way, STREAM)
        leaves = way not in READ and way not in self.WHOLE
        fault = (
            ENDLESS
            if leaves and rng.random() < 0.6
            else _choice(rng, {n: f.weight for n, f in table.items()})
        )
        return Plan(f"{self._name}.{self._count}", fault, rng.getrandbits(48)), way


class Reader:
    """What one stream has delivered, and whether its caller left before the end."""

    def __init__(self, plan: Plan, way: str, ledger: Ledger) -> None:
        rng = plan.rng("reader")
        self.plan = plan
        self.ledger = ledger
        self.pause = rng.choice((0.02, 0.1)) if way == "slow" else 0.0
        self.limit = rng.randint(1, 30) if way in ("break", "drop") else 1 << 60
        self.delay = rng.random() * 1.5
        self.style = rng.randrange(3)
        self.left = False
        self.last = time.monotonic()
        self._texts: list[str] = []
        self._count = 0

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def add(self, chunk: TextChunk) -> bool:
        """Record a chunk. Return whether the caller leaves now."""
        self.last = time.monotonic()
        self._texts.append(chunk.text)
        self._count += 1
        if self._count >= self.limit:
            self.leave()
        return self.left

    def leave(self) -> None:
        self.left = True
        if self.plan.fault == ENDLESS:
            self.ledger.caller_left(self.plan)

    def judge(
        self, error: InferenceKeyError | None, stream: AsyncTextStream | TextStream | None
    ) -> str:
        """Check text, error and result against the plan; return the outcome."""
        ledger, plan, text = self.ledger, self.plan, self.text
        fault = STREAM.get(plan.fault)
        ledger.check_text(plan, text, error, fault)
        if fault is None:
            if not self.left:
                ledger.fail(f"{plan.call}: an endless response ended: {error!r}")
        elif error is not None or not self.left:
            # A caller may leave before everything has arrived, so the exact text is not checked.
            checked = fault if not self.left else Fault(fault.outcomes)
            ledger.check_outcome(plan, text, error, checked, time.monotonic() - self.last)
        if error is None and not self.left and stream is not None:
            result = stream.result
            if (result.text, result.finish_reason, result.model) != (text, "stop", "m"):
                ledger.fail(
                    f"{plan.call} ({plan.fault}): the result differs from the chunks: {result!r}"
                )
        return "left" if self.left else "whole" if error is None else type(error).__name__


class AsyncCaller(Caller):
    """A task of the async client."""

    STREAMING: ClassVar = {**Caller.STREAMING, "cancel": 8, "timeout": 6}

    async def run(self, endpoint: AsyncEndpoint, until: float) -> None:
        """Make calls until the time *until*."""
        while time.monotonic() < until:
            plan, way = self._next()
            self._ledger.begin(plan, way)
            outcome = "raw error"
            try:
                outcome = await (self._whole if way in self.WHOLE else self._stream)(
                    endpoint, plan, way
                )
            except Exception as error:
                self._ledger.fail(f"{plan.call} ({plan.fault}, {way}): raw {error!r}")
            finally:
                self._ledger.end(plan, outcome)

    async def _whole(self, endpoint: AsyncEndpoint, plan: Plan, way: str) -> str:
        began = time.monotonic()
        extra = {"soak": plan.wire}
        try:
            if way == "text":
                text = (await endpoint.generate_text("Hi", extra_body=extra, timeout=LIMITS)).text
            else:
                text = _embedded(
                    plan, (await endpoint.embed("Hi", extra_body=extra, timeout=LIMITS)).embeddings
                )
        except InferenceKeyError as error:
            return _judge_whole(self._ledger, plan, way, "", error, began)
        return _judge_whole(self._ledger, plan, way, text, None, began)

    async def _stream(self, endpoint: AsyncEndpoint, plan: Plan, way: str) -> str:
        reader = Reader(plan, way, self._ledger)
        match way:
            case "cancel":
                reading = asyncio.create_task(self._read(endpoint, reader, way))
                await asyncio.wait((reading,), timeout=reader.delay)
                if reading.done():
                    return reading.result()
                reader.leave()
                reading.cancel()
                try:
                    return await reading
                except asyncio.CancelledError:
                    return reader.judge(None, None)
            case "timeout":
                try:
                    async with asyncio.timeout(reader.delay) as scope:
                        return await self._read(endpoint, reader, way)
                except TimeoutError:
                    assert scope.expired()
                    reader.leave()
                    return reader.judge(None, None)
        return await self._read(endpoint, reader, way)

    async def _read(self, endpoint: AsyncEndpoint, reader: Reader, way: str) -> str:
        stream = endpoint.generate_text_stream(
            "Hi", extra_body={"soak": reader.plan.wire}, timeout=LIMITS
        )
        closing = asyncio.create_task(_close_later(stream, reader)) if way == "close" else None
        try:
            if reader.style == 0 and way != "drop":
                async with stream:
                    await _consume(stream, reader)
            else:
                if reader.style == 1:
                    await stream
                await _consume(stream, reader)
                if way != "drop":
                    await stream.aclose()
        except InferenceKeyError as error:
            return reader.judge(error, stream)
        finally:
            if closing is not None:
                closing.cancel()
                await asyncio.wait((closing,))
        return reader.judge(None, stream)


async def _consume(stream: AsyncTextStream, reader: Reader) -> None:
    async for chunk in stream:
        if reader.add(chunk):
            return
        if reader.pause:
            await asyncio.sleep(reader.pause)


async def _close_later(stream: AsyncTextStream, reader: Reader) -> None:
    await asyncio.sleep(reader.delay)
    reader.leave()
    await stream.aclose()


class SyncCaller(Caller):
    """A thread of the sync client."""

    def run(self, endpoint: Endpoint, until: float) -> None:
        """Make calls until the time *until*."""
        while time.monotonic() < until:
            plan, way = self._next()
            self._ledger.begin(plan, "sync " + way)
            outcome = "raw error"
            try:
                outcome = (self._whole if way in self.WHOLE else self._stream)(endpoint, plan, way)
            except Exception as error:
                self._ledger.fail(f"{plan.call} ({plan.fault}, sync {way}): raw {error!r}")
            finally:
                self._ledger.end(plan, outcome)

    def _whole(self, endpoint: Endpoint, plan: Plan, way: str) -> str:
        began = time.monotonic()
        extra = {"soak": plan.wire}
        try:
            if way == "text":
                text = endpoint.generate_text("Hi", extra_body=extra, timeout=LIMITS).text
            else:
                text = _embedded(
                    plan, endpoint.embed("Hi", extra_body=extra, timeout=LIMITS).embeddings
                )
        except InferenceKeyError as error:
            return _judge_whole(self._ledger, plan, way, "", error, began)
        return _judge_whole(self._ledger, plan, way, text, None, began)

    def _stream(self, endpoint: Endpoint, plan: Plan, way: str) -> str:
        reader = Reader(plan, way, self._ledger)
        stream: TextStream | None = None
        closing: threading.Timer | None = None
        try:
            stream = endpoint.generate_text_stream(
                "Hi", extra_body={"soak": plan.wire}, timeout=LIMITS
            )
            if way == "close":
                closing = threading.Timer(reader.delay, _closer(stream, reader))
                closing.start()
            for chunk in stream:
                if reader.add(chunk):
                    break
                if reader.pause:
                    time.sleep(reader.pause)
            if way != "drop":
                stream.close()
        except InferenceKeyError as error:
            return reader.judge(error, stream)
        finally:
            if closing is not None:
                closing.cancel()
                closing.join()
        return reader.judge(None, stream)


def _closer(stream: TextStream, reader: Reader) -> Callable[[], None]:
    def close() -> None:
        reader.leave()
        stream.close()

    return close


def _embedded(plan: Plan, vectors: list[list[float]]) -> str:
    return plan.text if vectors == [plan.vector] else f"wrong vector: {vectors!r}"


def _judge_whole(
    ledger: Ledger, plan: Plan, way: str, text: str, error: InferenceKeyError | None, began: float
) -> str:
    fault = (UNARY if way == "text" else EMBED)[plan.fault]
    ledger.check_outcome(plan, text, error, fault, time.monotonic() - began)
    return "whole" if error is None else type(error).__name__


def _choice(rng: random.Random, weights: dict[str, int]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]
