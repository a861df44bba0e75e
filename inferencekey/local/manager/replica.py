"""One engine of a workload: brought up, brought back when it dies, drained before it goes."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio

from inferencekey.local.clock import Clock
from inferencekey.local.engines.engine import Choice, RunningEngine
from inferencekey.local.errors import EngineError
from inferencekey.local.manager.events import Headline
from inferencekey.models import Phase

__all__ = ["INTERNAL", "InService", "Replica"]

INTERNAL = "internal error; the platform's log says more"


class InService:
    """An engine that answers, and how many calls it has."""

    __slots__ = ("_idle", "engine", "outstanding")

    def __init__(self, engine: RunningEngine) -> None:
        self.engine = engine
        self.outstanding = 0
        self._idle = anyio.Event()

    def take(self) -> None:
        """Give it a call."""
        self.outstanding += 1

    def give_back(self) -> None:
        """Note the end of a call: its answer is out to the last byte, or the caller is gone."""
        self.outstanding -= 1
        if not self.outstanding:
            self._idle.set()
            self._idle = anyio.Event()

    async def empty(self) -> None:
        """Wait until it has no call."""
        while self.outstanding:
            await self._idle.wait()


class Replica:
    """One engine, from its start to its end.

    Args:
        number: which of the workload's, from 0.
        choice: how it is brought up.
        told: called whenever something about it changed.
        clock: limits the drain.
        drain: seconds that its calls get when it is told to leave.
        log: gets what should not have happened.
    """

    def __init__(
        self,
        number: int,
        choice: Choice,
        told: Callable[[], None],
        *,
        headline: Headline,
        clock: Clock,
        drain: float,
        log: logging.Logger,
    ) -> None:
        self.number = number
        self.headline = headline
        """Where it is on its way; what it said last before it answered."""
        self.serving: InService | None = None
        self.failure: str | None = None
        """Why it will not come up; it has ended."""
        self._choice = choice
        self._told = told
        self._clock = clock
        self._drain = drain
        self._log = log
        self._leaving = anyio.Event()
        self._scope = anyio.CancelScope()

    @property
    def coming(self) -> bool:
        """Whether it does not answer, but is on its way."""
        return self.serving is None and self.failure is None

    def leave(self) -> None:
        """Take no more calls; end when those in flight have theirs, or at once where there is no engine yet."""
        serving, self.serving = self.serving, None
        self._leaving.set()
        if serving is None:
            self._scope.cancel()

    async def run(self) -> None:
        """Run until it has left or failed. Nothing is raised."""
        with self._scope:
            try:
                while not self._leaving.is_set():
                    await self._serve_once()
            except EngineError as error:
                self.failure = str(error)
            except Exception:
                self._log.exception("unexpected, with engine %d of a workload", self.number)
                self.failure = INTERNAL
        self.serving = None
        if not self._leaving.is_set():
            self._told()

    async def _serve_once(self) -> None:
        async with self._choice.acquire(self._step, self.number) as engine:
            serving = self.serving = InService(engine)
            self._told()
            died = await self._serve(serving)
            if died and not self._leaving.is_set():
                self.serving = None
                self.headline = Headline(
                    Phase.BOOTSTRAPPING, f"{engine.describe_exit()}; starting it again"
                )
                self._told()

    async def _serve(self, serving: InService) -> bool:
        """Return when the engine has died (true), or has left."""
        died = False

        async def until_dead() -> None:
            nonlocal died
            await serving.engine.exited.wait()
            died = True
            either.cancel_scope.cancel()

        async with anyio.create_task_group() as either:
            either.start_soon(until_dead)
            await self._leaving.wait()
            with self._clock.limit(self._drain):
                await serving.empty()
            either.cancel_scope.cancel()
        return died

    def _step(self, phase: str, message: str, step: str | None) -> None:
        """Take what an engine says about its coming up."""
        if not self._leaving.is_set():
            self.headline = Headline(Phase(phase), message, step)
            self._told()
