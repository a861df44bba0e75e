"""The installed programs of one platform: one process for each workload, command and replica."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

from attrs import field, frozen

from inferencekey.local.engines.engine import OnStep
from inferencekey.local.engines.process import EngineProcess
from inferencekey.local.engines.programs.command import Command
from inferencekey.local.engines.programs.launch import Launch, ProgramProcess
from inferencekey.local.engines.programs.log_files import LogFiles, short_hash
from inferencekey.local.engines.programs.ports import Ports
from inferencekey.local.engines.programs.selection import Selection, select_program
from inferencekey.local.engines.shared_engine import Lease, SharedEngine
from inferencekey.local.errors import EngineError
from inferencekey.local.records import EngineRecord, StoredWorkload

__all__ = ["InstalledPrograms", "RunningProgram"]

HEALTHY_SECONDS: Final = 1800.0
"""Loading a large model takes minutes. A program that ends meanwhile is noticed right away."""

LINGER_SECONDS: Final = 2.0
PAUSE_SECONDS: Final = 1.0


@frozen(eq=False)
class RunningProgram:
    """A running program, as its workload has it: a ``RunningEngine`` (see ``engine.py``).

    Attributes:
        address: ``http://127.0.0.1:PORT``.
        api_key: what it expects as ``Authorization: Bearer …``; empty: nothing.
        model_name: what it expects as the ``model`` of a request.
        slots: how many requests it computes at the same time.
        streams_only: whether closing a stream is the only way to stop its computation.
        exited: set when its process has ended; release it then, and acquire again.
    """

    address: str
    api_key: str
    model_name: str
    slots: int
    streams_only: bool
    exited: asyncio.Event
    _lease: Lease = field(repr=False)

    @property
    def installed(self) -> bool:
        """Whether it is a program that the user installed: it is."""
        return True

    def describe_exit(self) -> str:
        """Return one line: how the process ended, and the last lines of its log."""
        return self._lease.process.describe_exit()


@frozen
class _Key:
    """Identifies a process: its workload, a short hash of what is launched, and its replica."""

    workload_id: str
    launch_hash: str
    replica: int


class InstalledPrograms:
    """The programs that one platform runs for its workloads.

    Args:
        data_dir: the platform's data directory; logs are in ``logs/``.
        allowed: whether programs are run at all.
        on_started: receives the record of each process as soon as it runs, so that the next start
            of the platform can kill it (see ``reap.py``).
        healthy_seconds: how long a program may take to become healthy.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        allowed: bool = True,
        on_started: Callable[[EngineRecord], None] | None = None,
        healthy_seconds: float = HEALTHY_SECONDS,
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._allowed = allowed
        self._on_started = on_started
        self._healthy_seconds = healthy_seconds
        self._closed = False
        self._shared: dict[_Key, SharedEngine] = {}
        self._latest: dict[str, str] = {}
        self._logs = LogFiles(self._data_dir / "logs")
        self._ports = Ports()

    def select(self, workload: StoredWorkload) -> Selection:
        """Return the program that serves a workload, or why there is none."""
        return select_program(workload, allowed=self._allowed)

    @asynccontextmanager
    async def acquire(
        self, workload: StoredWorkload, command: Command, on_step: OnStep, replica: int
    ) -> AsyncGenerator[RunningProgram]:
        """Start a workload's program, or join its users, until the block ends.

        Args:
            workload: whose program.
            command: what was selected for it.
            on_step: receives progress in the event loop.
            replica: which of several, from 0.

        Raises:
            EngineError: it cannot be started, does not become healthy, or died too often.
        """
        shared = self._share(workload, command, replica)
        lease = await shared.acquire(on_step)
        process = cast("ProgramProcess", lease.process)
        try:
            yield RunningProgram(
                process.address or "",
                process.api_key,
                process.model_name,
                process.slots,
                command.program.streams_only,
                process.exited,
                lease,
            )
        finally:
            shared.release(lease)

    def log(self, workload: StoredWorkload, command: Command, replica: int) -> Path:
        """Return the file that a replica of the workload's program writes to."""
        launch_hash = _launch_hash(workload, command)
        return self._logs.file(workload.project, workload.slug, workload.id, launch_hash, replica)

    def keep_logs(self, workload_ids: Iterable[str]) -> None:
        """Remove the logs of all other workloads.

        A platform that is killed may leave the logs of a workload that was just deleted.
        """
        self._logs.keep_workloads(workload_ids)

    def forget(self, workload_id: str) -> None:
        """Remove the logs of a deleted workload once its programs have ended."""
        self._latest.pop(workload_id, None)
        self._remove_old_logs(workload_id)

    async def aclose(self) -> None:
        """Stop all programs, even those in use, and refuse to start others."""
        self._closed = True
        await asyncio.gather(*(shared.aclose() for shared in self._shared.values()))

    def _share(self, workload: StoredWorkload, command: Command, replica: int) -> SharedEngine:
        name = command.name if replica == 0 else f"{command.name} (replica {replica})"
        if self._closed:
            raise EngineError(f"{name} is shut down")

        async def launch(on_step: OnStep) -> EngineProcess:
            return await self._launch(workload, command, replica, name, on_step)

        # Another command is another process: the old one serves until the new one does.
        key = _Key(workload.id, _launch_hash(workload, command), replica)
        if key not in self._shared:
            self._shared[key] = SharedEngine(
                launch,
                name=name,
                linger=LINGER_SECONDS,
                pause=PAUSE_SECONDS,
                on_idle=lambda: self._remove(key),
            )
            self._latest[key.workload_id] = key.launch_hash
            self._remove_old_logs(key.workload_id)
        return self._shared[key]

    def _remove(self, key: _Key) -> None:
        del self._shared[key]
        self._remove_old_logs(key.workload_id)

    def _remove_old_logs(self, workload_id: str) -> None:
        """Remove the logs of commands that were replaced, once their programs have ended."""
        in_use = {key.launch_hash for key in self._shared if key.workload_id == workload_id}
        if workload_id in self._latest:
            in_use.add(self._latest[workload_id])
        self._logs.keep(workload_id, in_use)

    async def _launch(
        self, workload: StoredWorkload, command: Command, replica: int, name: str, on_step: OnStep
    ) -> EngineProcess:
        launch = Launch(
            workload=workload,
            command=command,
            name=name,
            folder=self._data_dir / "engines",
            log=self.log(workload, command, replica),
            healthy_seconds=self._healthy_seconds,
            on_step=on_step,
            on_started=self._record,
        )
        port = self._ports.reserve()
        try:
            process = await launch.start(port)
        except BaseException:
            self._ports.release(port)
            raise
        self._ports.assign(port, process)
        return process

    def _record(self, process: EngineProcess) -> None:
        if self._on_started is not None:
            self._on_started(process.record)


def _launch_hash(workload: StoredWorkload, command: Command) -> str:
    """Return a short hash of what is launched.

    The model is part of it, because some commands do not name their model.
    """
    variables = [word for variable in command.variables.items() for word in variable]
    return short_hash(workload.id, workload.model_name, *command.words, "", *variables)
