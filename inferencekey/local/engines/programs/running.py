"""Installed programs as running engines: one process for each workload, command and replica."""

from __future__ import annotations

import asyncio
import secrets
import shlex
import socket
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

import aiohttp
from attrs import field, frozen

from inferencekey.config import LOCAL_PROGRAMS
from inferencekey.local.engines.environment import CREDENTIALS, program_environment
from inferencekey.local.engines.process import EngineDied, EngineProcess
from inferencekey.local.engines.programs.command import (
    Command,
    Listening,
    listening,
    option_value,
    read_command,
    shown,
)
from inferencekey.local.engines.programs.command import usual_commands as usual
from inferencekey.local.engines.programs.installed import is_installed, missing
from inferencekey.local.engines.programs.log_files import LogFiles, short_hash
from inferencekey.local.engines.programs.ollama import bring_model
from inferencekey.local.engines.programs.served import model_that_answers, slots
from inferencekey.local.engines.shared_engine import Lease, OnStep, SharedEngine
from inferencekey.local.errors import EngineError
from inferencekey.local.records import EngineRecord, StoredWorkload

__all__ = [
    "PROGRAMS_VARIABLE",
    "Found",
    "InstalledPrograms",
    "RunningProgram",
    "programs_allowed",
    "secrets_of",
]

HEALTHY_SECONDS: Final = 1800.0
"""A large model takes its minutes; a program that ends is noticed at once all the same."""

TELL_SECONDS: Final = 2.0
STEP_LETTERS: Final = 200
QUESTION_SECONDS: Final = 10.0
LINGER_SECONDS: Final = 2.0
PAUSE_SECONDS: Final = 1.0

PROGRAMS_VARIABLE: Final = LOCAL_PROGRAMS.name

_SECRET_OPTIONS: Final = (
    "--api-key",
    "--hf-token",
    "-hft",
    "--admin-api-key",
    "--ssl-keyfile-password",
)


def programs_allowed(*, exposed: bool, environ: dict[str, str] | None = None) -> bool:
    """Whether workloads' commands are run: `INFERENCEKEY_LOCAL_PROGRAMS` says it, 1 or 0.

    Without it, only while nobody but this machine can reach the platform: a control token is then as good as a shell here.
    """
    allowed = LOCAL_PROGRAMS.read(environ)
    return not exposed if allowed is None else allowed


@frozen
class Found:
    """What could be launched for a workload.

    Attributes:
        command: what will be; None: nothing that is here.
        why_not: why there is none, in a few words.
    """

    command: Command | None
    why_not: str = ""


@frozen(eq=False)
class RunningProgram:
    """A running program, as the workload holds it.

    Attributes:
        address: `http://127.0.0.1:PORT`.
        api_key: what it wants as `Authorization: Bearer …`; empty: nothing.
        model_name: what it wants as a request's `model`.
        slots: how many requests it computes at once.
        streams_only: it stops computing when a stream is closed, and at nothing else.
        exited: set when its process has ended; let go of it then, and hold again.
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
        """Whether it is a program of this machine's own."""
        return True

    def describe_exit(self) -> str:
        """How the process ended, with its last words, in one line."""
        return self._lease.process.describe_exit()


@frozen
class _Key:
    """Whose process it is, what was launched, as a short hash, and which replica."""

    workload_id: str
    launched: str
    replica: int


class ProgramProcess(EngineProcess):
    """The process of a program, and what it said of itself once it answered."""

    api_key = ""
    model_name = ""
    slots = 1


class InstalledPrograms:
    """The programs that one platform runs for its workloads.

    Args:
        data_dir: the platform's data directory; logs are in `logs/`.
        allowed: whether any are run at all.
        on_started: told of each process as soon as it runs, so that the next start can reap it (`reap.py`).
        healthy_seconds: how long one may take to answer.
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
        self._ports: dict[int, ProgramProcess | None] = {}

    def find(self, workload: StoredWorkload) -> Found:
        """Return what will be launched for a workload: its command, else what its backend usually runs."""
        said = (workload.config or {}).get("command")
        if isinstance(said, str):
            own = _read(said)
            commands: tuple[Command, ...] = () if own is None else (own,)
        else:
            commands = usual(workload.backend, workload.model_name, workload.task_type)
        if not commands:
            return Found(None, f"nothing is known to launch for {workload.backend} here")
        command = next(filter(is_installed, commands), None)
        if command is None:
            return Found(None, missing(commands[0]))
        if not self._allowed:
            return Found(
                None, f"{command.name} is not launched here ({PROGRAMS_VARIABLE}=1 allows it)"
            )
        return Found(command)

    @asynccontextmanager
    async def hold(
        self, workload: StoredWorkload, command: Command, on_step: OnStep, replica: int
    ) -> AsyncGenerator[RunningProgram]:
        """Bring a workload's program up, for as long as the block lasts.

        Args:
            workload: whose.
            command: as found for it.
            on_step: called in the event loop with a readiness phase, a message, and a step or None.
            replica: which of several, from 0.

        Raises:
            EngineError: it cannot be started, does not answer, or died too often.
        """
        shared = self._engine(workload, command, replica)
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
        """The file that a replica of the workload's program writes to, with this command."""
        return self._logs.file(
            workload.project, workload.slug, workload.id, _launched(workload, command), replica
        )

    def keep_logs(self, workload_ids: Iterable[str]) -> None:
        """Remove the logs of all workloads but these: of those that were deleted shortly before an end."""
        self._logs.keep_workloads(workload_ids)

    def forget(self, workload_id: str) -> None:
        """A workload is deleted: its logs go when its programs have ended."""
        self._latest.pop(workload_id, None)
        self._tidy(workload_id)

    async def aclose(self) -> None:
        """Stop all programs, whoever uses them, and start none again."""
        self._closed = True
        await asyncio.gather(*(shared.aclose() for shared in self._shared.values()))

    def _engine(self, workload: StoredWorkload, command: Command, replica: int) -> SharedEngine:
        name = command.name if replica == 0 else f"{command.name} (replica {replica})"
        if self._closed:
            raise EngineError(f"{name} is shut down")

        async def launch(tell: OnStep) -> EngineProcess:
            return await self._launch(workload, command, replica, name, tell)

        key = _Key(workload.id, _launched(workload, command), replica)
        if key not in self._shared:
            self._shared[key] = SharedEngine(
                launch,
                name=name,
                linger=LINGER_SECONDS,
                pause=PAUSE_SECONDS,
                on_idle=lambda: self._ended(key),
            )
            self._latest[key.workload_id] = key.launched
            self._tidy(key.workload_id)
        return self._shared[key]

    def _ended(self, key: _Key) -> None:
        del self._shared[key]
        self._tidy(key.workload_id)

    def _tidy(self, workload_id: str) -> None:
        """Remove the logs of commands that were replaced, once their programs have ended."""
        of_use = {key.launched for key in self._shared if key.workload_id == workload_id}
        if workload_id in self._latest:
            of_use.add(self._latest[workload_id])
        self._logs.keep(workload_id, of_use)

    async def _launch(
        self, workload: StoredWorkload, command: Command, replica: int, name: str, tell: OnStep
    ) -> EngineProcess:
        port = self._free_port()
        told = listening(command, port)
        key, environ = _with_key(command, told)
        hidden = tuple(filter(None, (*secrets_of(workload), key)))
        line = shown(told.argv, hidden)
        tell("bootstrapping", f"starting {line}", None)
        process = ProgramProcess(
            told.argv,
            folder=self._data_dir / "engines",
            log=self.log(workload, command, replica),
            env=environ,
            address=f"http://127.0.0.1:{port}",
            name=name,
            health=command.program.health,
            heading=f"[{time.strftime('%Y-%m-%d %H:%M:%S')}] $ {line}",
            secrets=hidden,
        )
        process.api_key = key
        try:
            await process.start()
            if self._on_started is not None:
                self._on_started(process.record)
            await self._bring_up(process, command, workload, tell)
        except BaseException:
            await process.stop(grace=0)
            del self._ports[port]
            raise
        self._ports[port] = process
        return process

    async def _bring_up(
        self, process: ProgramProcess, command: Command, workload: StoredWorkload, tell: OnStep
    ) -> None:
        """Wait until it answers, see to its model, and ask it about itself."""
        telling = asyncio.create_task(_tell_progress(process, tell))
        try:
            address = await process.wait_healthy(self._healthy_seconds)
        finally:
            telling.cancel()
            await asyncio.wait([telling])
        headers = {"Authorization": f"Bearer {process.api_key}"} if process.api_key else {}
        limit = aiohttp.ClientTimeout(total=QUESTION_SECONDS)
        async with aiohttp.ClientSession(address, headers=headers, timeout=limit) as session:
            if command.program.pulls:
                try:
                    await bring_model(session, workload.model_name, workload.task_type, tell)
                except (aiohttp.ClientError, TimeoutError) as error:
                    if process.exited.is_set():
                        raise EngineDied(process.describe_exit()) from None
                    raise EngineError(
                        f"{process.name} does not answer: {type(error).__name__}"
                    ) from error
            process.model_name = await model_that_answers(session, workload.model_name)
            process.slots = await slots(session, command.program, process.argv, process.env)

    def _free_port(self) -> int:
        """A port that nobody listens on, and that is given to no other program of ours that may still be about to."""
        for taken, process in list(self._ports.items()):
            if process is not None and process.exited.is_set():
                del self._ports[taken]
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            if port not in self._ports:
                self._ports[port] = None
                return port


async def _tell_progress(process: EngineProcess, tell: OnStep) -> None:
    said = ""
    while True:
        await asyncio.sleep(TELL_SECONDS)
        last = process.log_tail(1).strip()[:STEP_LETTERS]
        if last and last != said:
            said = last
            tell("bootstrapping", f"{process.name} is starting", last)


def _with_key(command: Command, told: Listening) -> tuple[str, dict[str, str]]:
    """The API key it will want, and its environment, which makes it want one where the command does not."""
    program = command.program
    given = option_value(told.argv, program.api_key) or told.variables.get(program.key_variable)
    extra = dict(told.variables)
    key = (given or "").partition(",")[0]
    if not key and program.key_variable:
        key = extra[program.key_variable] = secrets.token_hex(32)
    return key, program_environment(extra, defaults=program.defaults)


def secrets_of(workload: StoredWorkload) -> tuple[str, ...]:
    """The credentials that a workload's own command gives its program; they may be in its log."""
    said = (workload.config or {}).get("command")
    command = _read(said) if isinstance(said, str) else None
    if command is None:
        return ()
    given = [option_value(command.words, [option]) or "" for option in _SECRET_OPTIONS]
    keys = [key for text in given for key in text.split(",")]
    values = [value for name, value in command.variables.items() if name.endswith(CREDENTIALS)]
    return tuple(part for part in (*keys, *values) if part)


def _read(command: str) -> Command | None:
    try:
        return read_command(shlex.split(command))
    except ValueError:
        return None


def _launched(workload: StoredWorkload, command: Command) -> str:
    """What is launched, as a short hash: the model as well, for not every command names it."""
    variables = (word for name, value in command.variables.items() for word in (name, value))
    return short_hash(workload.id, workload.model_name, *command.words, "", *variables)
