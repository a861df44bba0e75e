"""Waiting for workloads, one or many: their events side by side, one display, one ceiling."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from inferencekey._async.progress import ReadinessBoard
from inferencekey._async.readiness import AsyncReadinessStream
from inferencekey._core.control.readiness import not_in_time, not_ready
from inferencekey.errors import InferenceKeyError
from inferencekey.models import Phase, ReadinessEvent

__all__ = ["Watch", "wait"]

LOG_MARGIN: Final = 5.0
"""Seconds before the ceiling at which the logs of what is still not ready are asked for: after it, nothing is."""

REFRESH_INTERVAL: Final = 0.5
"""Seconds between two redrawings of the live lines."""


class Watch:
    """One workload that is waited for.

    Args:
        slug: which.
        stream: its events.
        last_lines: gets the end of its engine's log; never fails.
    """

    def __init__(
        self,
        slug: str,
        stream: AsyncReadinessStream,
        last_lines: Callable[[], Awaitable[tuple[str, ...]]],
    ) -> None:
        self.slug = slug
        self.stream = stream
        self.error: Exception | None = None
        self.finished = False
        self._last_lines = last_lines
        self._events: list[ReadinessEvent] = []
        self._log: tuple[str, ...] = ()

    async def follow(self, send: MemoryObjectSendStream[Notice]) -> None:
        """Read the events and pass them on, then ``None`` if the stream failed."""
        try:
            async for event in self.stream:
                self._events.append(event)
                await send.send((self, event))
        except Exception as error:
            self.error = error
            await send.send((self, None))
        finally:
            self.finished = True
            await self.stream.aclose()
        if self._phase is Phase.ERROR:
            self._log = await self._last_lines()

    async def fetch_log(self) -> None:
        """Get the end of the log, if this is not over yet."""
        if not self.finished:
            self._log = await self._last_lines()

    def result(self, seconds: float | None) -> ReadinessEvent:
        """Return the last event, of phase ``ready``.

        Args:
            seconds: how long was waited at most.

        Raises:
            ReadinessError: the last event is of phase ``error``.
            ReadinessTimeout: there was no last event.
            Exception: what the stream raised.
        """
        if self.error is not None:
            raise self._with_slug(self.error)
        if self._phase is Phase.READY:
            return self._events[-1]
        if self._phase is Phase.ERROR:
            raise self._with_slug(not_ready(self.slug, self._events, self._log))
        raise self._with_slug(
            not_in_time(self.slug, seconds, self._events, self.stream.trouble, self._log)
        )

    def _with_slug(self, error: Exception) -> Exception:
        if isinstance(error, InferenceKeyError):
            error.workload = self.slug
        return error

    @property
    def _phase(self) -> Phase | str | None:
        return self._events[-1].phase if self._events else None


Notice: TypeAlias = tuple[Watch, ReadinessEvent | None]
"""What a watch sends: each of its events, and ``None`` if its stream failed."""


async def wait(
    watches: Sequence[Watch],
    seconds: float | None,
    *,
    board: ReadinessBoard | None,
    on_event: Callable[[Watch, ReadinessEvent], Awaitable[None]] | None,
) -> None:
    """Wait until every watch is over, or for *seconds*.

    Args:
        watches: what to wait for.
        seconds: the ceiling; ``None`` for none.
        board: shows it.
        on_event: awaited with every event, in this very task, one at a time. What it raises ends the wait.
    """
    began = time.monotonic()
    send, receive = anyio.create_memory_object_stream[Notice](0)
    try:
        with send, receive, anyio.move_on_after(seconds):
            async with anyio.create_task_group() as group:
                group.start_soon(_follow, watches, send)
                if board is not None:
                    group.start_soon(_refresh, board, watches, began)
                if seconds is not None:
                    margin = min(LOG_MARGIN, seconds / 4)
                    group.start_soon(_fetch_logs, watches, seconds - margin)
                async for watch, event in receive:
                    elapsed = time.monotonic() - began
                    if event is None:
                        # The error of a single workload is raised as it is, and not shown before.
                        if board is not None and len(watches) > 1:
                            board.show_failure(watch.slug, str(watch.error), elapsed)
                        continue
                    if board is not None:
                        board.show(watch.slug, event, elapsed)
                    if on_event is not None:
                        await on_event(watch, event)
                group.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # The children never raise: the group is one error of the callback's with a wrapping nobody asked for.
        raise group.exceptions[0] from None
    finally:
        for watch in watches:
            await watch.stream.aclose()
        if board is not None:
            board.end()


async def _follow(watches: Sequence[Watch], send: MemoryObjectSendStream[Notice]) -> None:
    with send:
        async with anyio.create_task_group() as group:
            for watch in watches:
                group.start_soon(watch.follow, send)


async def _fetch_logs(watches: Sequence[Watch], after: float) -> None:
    await anyio.sleep(after)
    async with anyio.create_task_group() as group:
        for watch in watches:
            group.start_soon(watch.fetch_log)


async def _refresh(board: ReadinessBoard, watches: Sequence[Watch], began: float) -> None:
    while True:
        await anyio.sleep(REFRESH_INTERVAL)
        elapsed = time.monotonic() - began
        for watch in watches:
            if watch.stream.trouble is not None and not watch.finished:
                board.show_trouble(watch.slug, str(watch.stream.trouble), elapsed)
        board.refresh(elapsed)
