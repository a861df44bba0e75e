"""Which engine serves a workload.

Today that is a stand-in, by task type. A program that is installed here and that the workload's command names will be a
second kind of :class:`Choice`; nothing else needs to know.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

import attrs

from inferencekey.local.errors import EngineError
from inferencekey.local.standin import OnStep, StandInEngines, kind_for, no_stand_in
from inferencekey.local.store import StoredWorkload

__all__ = ["Choice", "Choose", "Exited", "RunningEngine", "stand_in_for"]


class Exited(Protocol):
    """An event that is set when a process has ended."""

    async def wait(self) -> object: ...


class RunningEngine(Protocol):
    """An engine that answers, as one workload holds it."""

    @property
    def address(self) -> str: ...

    @property
    def api_key(self) -> str: ...

    @property
    def model_name(self) -> str: ...

    @property
    def exited(self) -> Exited: ...

    def describe_exit(self) -> str: ...


@attrs.frozen
class Choice:
    """An engine for one workload.

    Args:
        hold: brings it up, or joins those who use it already, for as long as the block lasts.
        ready: from the name of the model that answers, the line that says so.
    """

    hold: Callable[[OnStep], AbstractAsyncContextManager[RunningEngine]]
    ready: Callable[[str], str]


Choose = Callable[[StoredWorkload], Choice]
"""Raises :class:`EngineError` when nothing here can serve the workload."""


def stand_in_for(engines: StandInEngines) -> Choose:
    """Return the choice of a stand-in for each workload."""

    def choose(workload: StoredWorkload) -> Choice:
        kind = kind_for(workload.task_type)
        if kind is None:
            raise EngineError(no_stand_in(workload.task_type))

        @asynccontextmanager
        async def hold(on_step: OnStep) -> AsyncGenerator[RunningEngine]:
            engine = await engines.acquire(kind, on_step)
            try:
                yield engine
            finally:
                engines.release(engine)

        def ready(model: str) -> str:
            verb = _VERBS.get(workload.task_type, "answers")
            return f"{model} {verb} as a stand-in for {workload.model_name} (no {workload.backend} launched here)"

        return Choice(hold, ready)

    return choose


_VERBS: Final = {"embedding": "embeds", "reranker": "ranks by similarity"}
