"""Which engine serves a workload: its own program if that is installed, else a stand-in."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from inferencekey.local.engines.engine import Choice, OnStep, RunningEngine
from inferencekey.local.engines.log_text import LogPlace
from inferencekey.local.engines.programs.binding import bind
from inferencekey.local.engines.programs.command import Command
from inferencekey.local.engines.programs.pool import InstalledPrograms
from inferencekey.local.engines.programs.selection import secrets_of
from inferencekey.local.engines.stand_ins.kinds import Kind, kind_for, no_stand_in
from inferencekey.local.engines.stand_ins.pool import StandInEngines
from inferencekey.local.errors import EngineError
from inferencekey.local.records import StoredWorkload

__all__ = ["EngineChooser"]

_VERBS: Final = {"embedding": "embeds", "reranker": "ranks"}
_STAND_IN_VERBS: Final = {**_VERBS, "reranker": "ranks by similarity"}


class EngineChooser:
    """Chooses the engine of each workload.

    Args:
        stand_ins: the platform's stand-ins.
        programs: the platform's programs.
    """

    def __init__(self, stand_ins: StandInEngines, programs: InstalledPrograms) -> None:
        self._stand_ins = stand_ins
        self._programs = programs
        self._used: dict[str, set[tuple[Kind, int]]] = {}
        """The stand-ins that each workload has used."""

    def __call__(self, workload: StoredWorkload) -> Choice:
        """Choose for a workload. It blocks: programs are looked for on the disk.

        Raises:
            EngineError: no engine here can serve it.
        """
        selection = self._programs.select(workload)
        if selection.command is not None:
            return self._program(workload, selection.command)
        kind = kind_for(workload.task_type)
        if kind is None:
            raise EngineError(f"{selection.why_not}, and {no_stand_in(workload.task_type)}")
        return self._stand_in(workload, kind, selection.why_not)

    def forget(self, workload_id: str) -> None:
        """Remove the logs of a deleted workload once its engines have ended."""
        self._used.pop(workload_id, None)
        self._programs.forget(workload_id)

    def _program(self, workload: StoredWorkload, command: Command) -> Choice:
        programs = self._programs

        def acquire(on_step: OnStep, replica: int) -> AbstractAsyncContextManager[RunningEngine]:
            return programs.acquire(workload, command, on_step, replica)

        def ready_message(model: str) -> str:
            verb = _VERBS.get(workload.task_type, "answers")
            message = f"{model} {verb}, served by {command.name}"
            # The port does not matter here: what is replaced is the same for each.
            replaced = ", ".join(bind(command, 0).replaced)
            if replaced:
                message += f" (the platform chooses the address and replaced {replaced})"
            return message

        def log(replica: int) -> LogPlace | None:
            path = programs.log(workload, command, replica)
            return LogPlace(path, secrets=secrets_of(workload)) if path.exists() else None

        return Choice(acquire, ready_message, log, command.name, installed=True)

    def _stand_in(self, workload: StoredWorkload, kind: Kind, why: str) -> Choice:
        stand_ins = self._stand_ins

        def note_use(replica: int) -> None:
            self._used.setdefault(workload.id, set()).add((kind, replica))

        @asynccontextmanager
        async def acquire(on_step: OnStep, replica: int) -> AsyncGenerator[RunningEngine]:
            def on_own_step(phase: str, message: str, step: str | None) -> None:
                # From here on its process writes to the log, even if it never becomes healthy.
                if phase == "bootstrapping":
                    note_use(replica)
                on_step(phase, message, step)

            engine = await stand_ins.acquire(kind, on_own_step, replica)
            note_use(replica)
            try:
                yield engine
            finally:
                stand_ins.release(engine)

        def ready_message(model: str) -> str:
            verb = _STAND_IN_VERBS.get(workload.task_type, "answers")
            return f"{why}: {model} {verb} as a stand-in for {workload.model_name}"

        def log(replica: int) -> LogPlace | None:
            # A stand-in is shared: what it has logged for others is not for this workload's users.
            if (kind, replica) not in self._used.get(workload.id, ()):
                return None
            return LogPlace(
                stand_ins.log(kind, replica),
                stand_ins.log_start(kind, replica),
                secrets_of(workload),
            )

        engine = f"the stand-in {stand_ins.model(kind)}"
        return Choice(acquire, ready_message, log, engine, installed=False)
