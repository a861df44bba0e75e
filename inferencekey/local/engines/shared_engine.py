"""One engine process for all its users: started for the first, stopped after the last."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from attrs import frozen

from inferencekey.local.engines.engine import OnStep
from inferencekey.local.engines.process import EngineDied, EngineProcess
from inferencekey.local.errors import EngineError

__all__ = ["Lease", "SharedEngine"]

Launch = Callable[[OnStep], Awaitable[EngineProcess]]
"""Starts a process and returns it healthy. When it raises, it has stopped what it started."""

DEATHS_IN_A_ROW: Final = 5
LONGEST_PAUSE_SECONDS: Final = 30.0
PROVEN_SECONDS: Final = 60.0
"""A process that ran this long was good: its death is the first of a new row."""


@frozen(eq=False)
class Lease:
    """One user's right to the process, from `acquire` to `release`."""

    process: EngineProcess


class SharedEngine:
    """The process that all users of one engine share.

    A process that died is not restarted by itself: each user sees `process.exited`, releases its
    lease and acquires again. The restart then waits 1, 2, 4, 8 … 30 s. After five deaths in a
    row, `acquire` fails. A death after a minute of service begins a new row, and so does the next
    `acquire` after such a failure.

    Args:
        launch: starts a process and returns it healthy.
        name: the name in messages.
        linger: seconds that the process is kept after its last user has released it.
        pause: seconds before the first restart; each further restart waits twice as long.
        on_idle: called when there is no user and the process has ended.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        name: str,
        linger: float = 5.0,
        pause: float = 1.0,
        on_idle: Callable[[], None] | None = None,
    ) -> None:
        self._launch = launch
        self._name = name
        self._linger = linger
        self._pause = pause
        self._on_idle = on_idle
        self._closed = False
        self._waiting: list[OnStep] = []
        self._leases: set[Lease] = set()
        self._current: asyncio.Task[EngineProcess] | None = None
        self._last_step: tuple[str, str, str | None] | None = None
        self._retirement: asyncio.TimerHandle | None = None
        self._stopping: set[asyncio.Task[None]] = set()
        self._deaths = 0
        self._last_death = ""
        self._healthy_since = 0.0

    @property
    def idle(self) -> bool:
        """Whether there is no user and no process, so that this object can be dropped."""
        used = self._waiting or self._leases or self._stopping
        return not used and self._current is None

    async def acquire(self, on_step: OnStep) -> Lease:
        """Return a lease of the running process; start it first if it does not run.

        Users that wait together get the same progress and the same process, or the same error.
        Cancelling one does not affect the others.

        Raises:
            EngineError: it cannot run, or died too often.
        """
        if self._closed:
            raise EngineError(f"{self._name} is shut down")
        if self._retirement is not None:
            self._retirement.cancel()
            self._retirement = None
        self._waiting.append(on_step)
        try:
            launch = self._current_launch(on_step)
            # Not `await launch`: that would cancel the launch for the other users too.
            await asyncio.wait([launch])
            if launch.cancelled():
                raise EngineError(f"{self._name} is shut down")
            lease = Lease(launch.result())
            self._leases.add(lease)
            return lease
        finally:
            # Also when this user is cancelled: it must not get progress any more.
            self._waiting.remove(on_step)
            self._retire_if_unused()

    def release(self, lease: Lease) -> None:
        """Return the lease. A second call does nothing."""
        if lease in self._leases:
            self._leases.remove(lease)
            self._retire_if_unused()

    async def aclose(self) -> None:
        """Stop the process, even if it is in use, and refuse to start another."""
        self._closed = True
        self._leases.clear()
        self._retire()
        while self._stopping:
            await asyncio.wait(self._stopping)

    def _current_launch(self, on_step: OnStep) -> asyncio.Task[EngineProcess]:
        """Return the task whose result is the process; a new one, if that process has died."""
        current = self._current
        if current is not None and not current.done():
            # A user that joins late still learns what the launch does.
            if self._last_step is not None:
                on_step(*self._last_step)
            return current
        if current is not None and not _has_failed(current):
            process = current.result()
            if not process.exited.is_set():
                return current
            self._count_death(process.describe_exit())
        self._last_step = None
        self._current = asyncio.create_task(self._launch_until_healthy())
        return self._current

    async def _launch_until_healthy(self) -> EngineProcess:
        while True:
            await self._wait_after_death()
            try:
                process = await self._launch(self._report)
            except EngineDied as error:
                self._healthy_since = asyncio.get_running_loop().time()
                self._count_death(str(error))
            else:
                self._healthy_since = asyncio.get_running_loop().time()
                return process

    async def _wait_after_death(self) -> None:
        if self._deaths == 0:
            return
        if self._deaths >= DEATHS_IN_A_ROW:
            deaths, self._deaths = self._deaths, 0
            raise EngineError(f"{self._name} died {deaths} times in a row: {self._last_death}")
        pause = min(LONGEST_PAUSE_SECONDS, self._pause * 2 ** (self._deaths - 1))
        step = f"restart {self._deaths} of {DEATHS_IN_A_ROW - 1}"
        self._report("bootstrapping", f"{self._last_death}; starting it again in {pause:g} s", step)
        await asyncio.sleep(pause)

    def _count_death(self, description: str) -> None:
        if asyncio.get_running_loop().time() - self._healthy_since >= PROVEN_SECONDS:
            self._deaths = 0
        self._deaths += 1
        self._last_death = description

    def _report(self, phase: str, message: str, step: str | None) -> None:
        self._last_step = (phase, message, step)
        for on_step in list(self._waiting):
            on_step(phase, message, step)

    def _retire_if_unused(self) -> None:
        current = self._current
        if self._waiting or self._leases or self._retirement is not None or current is None:
            return
        if current.done():
            # A user may come back soon, for example after a change of its workload.
            self._retirement = asyncio.get_running_loop().call_later(self._linger, self._retire)
        else:
            self._retire()  # no user waits for this launch any more

    def _retire(self) -> None:
        """Stop the process in the background; the next user gets a new one."""
        if self._retirement is not None:
            self._retirement.cancel()
            self._retirement = None
        if self._current is not None:
            task = asyncio.create_task(_stop(self._current))
            self._current = None
            self._stopping.add(task)
            task.add_done_callback(self._stopped)

    def _stopped(self, task: asyncio.Task[None]) -> None:
        self._stopping.discard(task)
        if self.idle and self._on_idle is not None:
            self._on_idle()


def _has_failed(task: asyncio.Task[EngineProcess]) -> bool:
    """Return whether a task that is done has no process as its result."""
    return task.cancelled() or task.exception() is not None


async def _stop(task: asyncio.Task[EngineProcess]) -> None:
    """Cancel the launch, or stop the process that it has started."""
    task.cancel()
    await asyncio.wait([task])
    if not _has_failed(task):
        await task.result().stop()
