"""One engine of a workload: started, restarted when it dies, drained before it stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio

from inferencekey.local.engines.engine import Choice, RunningEngine
from inferencekey.local.errors import EngineError
from inferencekey.local.manager.dependencies import Dependencies
from inferencekey.local.manager.events import Status
from inferencekey.models import Phase

__all__ = ["INTERNAL_ERROR", "Replica", "ServingEngine"]

INTERNAL_ERROR: Final = "internal error; see the platform's log"


class ServingEngine:
    """An engine that accepts calls, and how many calls it has."""

    __slots__ = ("_idle", "engine", "outstanding")

    def __init__(self, engine: RunningEngine) -> None:
        self.engine = engine
        self.outstanding = 0
        self._idle = anyio.Event()

    def acquire(self) -> None:
        """Count a call that this engine gets."""
        self.outstanding += 1

    def release(self) -> None:
        """Count the end of a call: the whole response was sent, or the caller is gone."""
        self.outstanding -= 1
        if not self.outstanding:
            self._idle.set()
            self._idle = anyio.Event()

    async def wait_until_idle(self) -> None:
        """Wait until it has no call."""
        while self.outstanding:
            await self._idle.wait()


class Replica:
    """One engine of a workload, from its start to its end.

    Args:
        number: which of the workload's replicas it is, from 0.
        choice: how its engine is started.
        dependencies: what all workloads share.
        status: its first status.
        on_change: called whenever something about it has changed.
    """

    def __init__(
        self,
        number: int,
        choice: Choice,
        dependencies: Dependencies,
        *,
        status: Status,
        on_change: Callable[[], None],
    ) -> None:
        self.number = number
        self.status = status
        """What it does, until it serves."""
        self.serving: ServingEngine | None = None
        self.failure: str | None = None
        """Why it has ended and does not start again."""
        self._choice = choice
        self._dependencies = dependencies
        self._on_change = on_change
        self._stopping = anyio.Event()
        self._scope = anyio.CancelScope()

    @property
    def starting(self) -> bool:
        """Whether it does not serve yet, but may."""
        return self.serving is None and self.failure is None

    def stop(self) -> None:
        """Give it no more calls, and end it when its calls have ended.

        A replica whose engine is still starting ends right away.
        """
        serving, self.serving = self.serving, None
        self._stopping.set()
        if serving is None:
            self._scope.cancel()

    async def run(self) -> None:
        """Run until it is stopped or fails. Nothing is raised."""
        with self._scope:
            try:
                while not self._stopping.is_set():
                    await self._run_engine()
            except EngineError as error:
                self.failure = str(error)
            except Exception:
                self._dependencies.log.exception(
                    "unexpected error in replica %d of a workload", self.number
                )
                self.failure = INTERNAL_ERROR
        self.serving = None
        # A replica that was stopped is no longer part of its launch.
        if not self._stopping.is_set():
            self._on_change()

    async def _run_engine(self) -> None:
        async with self._choice.acquire(self._on_step, self.number) as engine:
            serving = self.serving = ServingEngine(engine)
            self._on_change()
            died = await self._wait_for_end(serving)
            if died and not self._stopping.is_set():
                self.serving = None
                message = f"{engine.describe_exit()}; starting it again"
                self.status = Status(Phase.BOOTSTRAPPING, message)
                self._on_change()

    async def _wait_for_end(self, serving: ServingEngine) -> bool:
        """Return true when the engine has died, false when this replica was stopped."""
        died = False

        async def wait_for_exit() -> None:
            nonlocal died
            await serving.engine.exited.wait()
            died = True
            first.cancel_scope.cancel()

        async with anyio.create_task_group() as first:
            first.start_soon(wait_for_exit)
            await self._stopping.wait()
            with self._dependencies.clock.limit(self._dependencies.drain_seconds):
                await serving.wait_until_idle()
            first.cancel_scope.cancel()
        return died

    def _on_step(self, phase: str, message: str, step: str | None) -> None:
        # The progress of a replica that is being stopped would hide that of its successor.
        if not self._stopping.is_set():
            self.status = Status(Phase(phase), message, step)
            self._on_change()
