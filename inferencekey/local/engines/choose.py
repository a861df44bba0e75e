"""Which engine serves a workload: its own program where that is installed, else a stand-in, by task type.

Nothing else needs to know which of the two it is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

import attrs

from inferencekey.local.engines.log_text import LogPlace
from inferencekey.local.engines.programs.command import Command, listening
from inferencekey.local.engines.programs.running import InstalledPrograms
from inferencekey.local.engines.stand_ins.engines import (
    Kind,
    OnStep,
    StandInEngines,
    kind_for,
    no_stand_in,
)
from inferencekey.local.errors import EngineError
from inferencekey.local.records import StoredWorkload

__all__ = ["Choice", "Choose", "Engines", "Exited", "RunningEngine"]


class Exited(Protocol):
    """An event that is set when a process has ended."""

    async def wait(self) -> object: ...


class RunningEngine(Protocol):
    """An engine that answers, as one workload holds it.

    ``slots`` is how many requests it computes at once; ``installed`` whether it is a program of this machine's own, which
    takes requests as they are (only ``model`` becomes ``model_name``), and no stand-in. ``streams_only`` says that it stops
    computing when a stream is closed, and at nothing else.
    """

    @property
    def address(self) -> str: ...

    @property
    def api_key(self) -> str: ...

    @property
    def model_name(self) -> str: ...

    @property
    def slots(self) -> int: ...

    @property
    def installed(self) -> bool: ...

    @property
    def streams_only(self) -> bool: ...

    @property
    def exited(self) -> Exited: ...

    def describe_exit(self) -> str: ...


@attrs.frozen
class Choice:
    """An engine for one workload.

    Args:
        hold: brings replica number so-and-so (from 0) up, or joins those who use it already, for as long as the block
            lasts.
        ready: from the name of the model that answers, the line that says so.
        log: where a replica's engine writes to; None: none of this workload has run as it is now.
        engine: what serves, in a word or two.
        installed: whether that is a program of this machine's own, and no stand-in.
    """

    hold: Callable[[OnStep, int], AbstractAsyncContextManager[RunningEngine]]
    ready: Callable[[str], str]
    log: Callable[[int], LogPlace | None]
    engine: str
    installed: bool


Choose = Callable[[StoredWorkload], Choice]
"""Raises :class:`EngineError` when nothing here can serve the workload."""


class Engines:
    """The choice for each workload: the program it asks for, if that is installed; else a stand-in, if one can serve it.

    Args:
        stand_ins: the platform's.
        programs: the platform's.
    """

    def __init__(self, stand_ins: StandInEngines, programs: InstalledPrograms) -> None:
        self._stand_ins = stand_ins
        self._programs = programs
        self._held: dict[str, set[tuple[Kind, int]]] = {}

    def __call__(self, workload: StoredWorkload) -> Choice:
        """Choose for a workload.

        Raises:
            EngineError: nothing here can serve it.
        """
        found = self._programs.find(workload)
        if found.command is not None:
            return _program(self._programs, workload, found.command)
        kind = kind_for(workload.task_type)
        if kind is None:
            raise EngineError(f"{found.why_not}, and {no_stand_in(workload.task_type)}")
        return self._stand_in(kind, workload, found.why_not)

    def forget(self, workload_id: str) -> None:
        """A workload is deleted: its logs go when its engines have ended."""
        self._held.pop(workload_id, None)
        self._programs.forget(workload_id)

    def _stand_in(self, kind: Kind, workload: StoredWorkload, why: str) -> Choice:
        engines = self._stand_ins

        @asynccontextmanager
        async def hold(on_step: OnStep, replica: int) -> AsyncGenerator[RunningEngine]:
            def starting(phase: str, message: str, step: str | None) -> None:
                if phase == "bootstrapping":
                    note(replica)
                on_step(phase, message, step)

            engine = await engines.acquire(kind, starting, replica)
            note(replica)
            try:
                yield engine
            finally:
                engines.release(engine)

        def note(replica: int) -> None:
            self._held.setdefault(workload.id, set()).add((kind, replica))

        def log(replica: int) -> LogPlace | None:
            # What others' engines wrote before is nothing of this workload's.
            if (kind, replica) not in self._held.get(workload.id, ()):
                return None
            return LogPlace(engines.log(kind, replica), engines.log_start(kind, replica))

        def ready(model: str) -> str:
            verb = _STAND_IN_VERBS.get(workload.task_type, "answers")
            return f"{why}: {model} {verb} as a stand-in for {workload.model_name}"

        return Choice(hold, ready, log, f"the stand-in {engines.model(kind)}", installed=False)


def _program(programs: InstalledPrograms, workload: StoredWorkload, command: Command) -> Choice:
    def hold(on_step: OnStep, replica: int) -> AbstractAsyncContextManager[RunningEngine]:
        return programs.hold(workload, command, on_step, replica)

    def ready(model: str) -> str:
        gave_way = listening(command, 0).replaced
        said = (
            f" ({', '.join(gave_way)} gave way: the platform chooses where it listens)"
            if gave_way
            else ""
        )
        return (
            f"{model} {_VERBS.get(workload.task_type, 'answers')}, served by {command.name}{said}"
        )

    def log(replica: int) -> LogPlace | None:
        path = programs.log(workload, command, replica)
        return LogPlace(path) if path.exists() else None

    return Choice(hold, ready, log, command.name, installed=True)


_VERBS: Final = {"embedding": "embeds", "reranker": "ranks"}
_STAND_IN_VERBS: Final = {**_VERBS, "reranker": "ranks by similarity"}
