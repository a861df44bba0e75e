"""Waiting for one or many workloads at the same time, with one display and one time limit."""

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
"""How long before the time limit the logs of unfinished workloads are requested, in seconds.

Nothing is requested after the limit.
"""

REFRESH_INTERVAL: Final = 0.5
"""Seconds between two redraws of the live lines."""


class Watch:
    """The wait for one workload.

    Args:
        slug: the workload's slug.
        stream: its events.
        last_lines: returns the end of its engine's log. It never raises.
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
        """Send every event of the stream, and ``None`` if the stream fails."""
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
        """Request the end of the log, unless the wait for this workload has ended."""
        if not self.finished:
            self._log = await self._last_lines()

    def result(self, seconds: float | None) -> ReadinessEvent:
        """Return the last event, of phase ``ready``.

        Args:
            seconds: the time limit, for the message.

        Raises:
            ReadinessError: the last event is of phase ``error``.
            ReadinessTimeout: there was no last event before the time limit.
            Exception: the error of the stream.
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
"""What a watch sends: each of its events, or ``None`` when its stream has failed."""


async def wait(
    watches: Sequence[Watch],
    seconds: float | None,
    *,
    board: ReadinessBoard | None,
    on_event: Callable[[Watch, ReadinessEvent], Awaitable[None]] | None,
) -> None:
    """Wait until every watch has ended, for *seconds* at most.

    Args:
        watches: the workloads to wait for.
        seconds: the time limit; ``None`` for no limit.
        board: shows the progress.
        on_event: awaited with every event, one at a time, in the task that called this function. An
            exception that it raises ends the wait.
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
                    if board is not None:
                        _show(board, watches, watch, event, time.monotonic() - began)
                    if on_event is not None and event is not None:
                        await on_event(watch, event)
                group.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # The child tasks never raise, so the group holds exactly one error: that of on_event. It is
        # raised without the group, as the callback raised it.
        raise group.exceptions[0] from None
    finally:
        for watch in watches:
            await watch.stream.aclose()
        if board is not None:
            board.end()


def _show(
    board: ReadinessBoard,
    watches: Sequence[Watch],
    watch: Watch,
    event: ReadinessEvent | None,
    elapsed: float,
) -> None:
    if event is not None:
        board.show(watch.slug, event, elapsed)
    elif len(watches) > 1:
        # The error of a single workload is not shown, because the call raises it at once.
        board.show_failure(watch.slug, str(watch.error), elapsed)


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
