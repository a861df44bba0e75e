"""Starting one installed program: its key, its environment, its model."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiohttp
from attrs import frozen

from inferencekey.local.engines.engine import OnStep
from inferencekey.local.engines.environment import program_environment
from inferencekey.local.engines.process import EngineDied, EngineProcess
from inferencekey.local.engines.programs.binding import BoundCommand, bind
from inferencekey.local.engines.programs.command import Command, display, option_value
from inferencekey.local.engines.programs.introspection import fetch_slots, find_model
from inferencekey.local.engines.programs.ollama import bring_model
from inferencekey.local.engines.programs.selection import secrets_of
from inferencekey.local.engines.programs.table import Program
from inferencekey.local.errors import EngineError
from inferencekey.local.records import StoredWorkload

__all__ = ["Launch", "ProgramProcess"]

PROGRESS_SECONDS: Final = 2.0
"""How often the last line of the log is reported as the step."""

STEP_CHARACTERS: Final = 200
REQUEST_SECONDS: Final = 10.0


class ProgramProcess(EngineProcess):
    """The process of a program, and what it reported about itself once it was healthy."""

    api_key = ""
    model_name = ""
    slots = 1


@frozen(kw_only=True)
class Launch:
    """One start of a program.

    Attributes:
        workload: whose program it is.
        command: what is launched.
        name: the name in messages.
        folder: the platform's folder for engines.
        log: the file that the process writes to.
        healthy_seconds: how long it may take to become healthy.
        on_step: receives progress.
        on_started: called when the process runs, before it is healthy.
    """

    workload: StoredWorkload
    command: Command
    name: str
    folder: Path
    log: Path
    healthy_seconds: float
    on_step: OnStep
    on_started: Callable[[EngineProcess], None]

    async def start(self, port: int) -> ProgramProcess:
        """Start the program on a port, and return it once it has its model.

        Raises:
            EngineError: it cannot be started, does not become healthy, or cannot load its model.
        """
        process = self._process(port)
        try:
            await process.start()
            self.on_started(process)
            await self._wait_until_ready(process)
        except BaseException:
            # Also when cancelled. It serves no call yet, so it needs no time to finish.
            await process.stop(grace=0)
            raise
        return process

    def _process(self, port: int) -> ProgramProcess:
        bound = bind(self.command, port)
        api_key, variables = _with_api_key(self.command.program, bound)
        hidden = tuple(filter(None, (*secrets_of(self.workload), api_key)))
        line = display(bound.argv, hidden)
        self.on_step("bootstrapping", f"starting {line}", None)
        process = ProgramProcess(
            bound.argv,
            folder=self.folder,
            log=self.log,
            # Not the environment of an engine of ours: the user's models are in the user's home.
            env=program_environment(variables, defaults=self.command.program.defaults),
            address=f"http://127.0.0.1:{port}",
            name=self.name,
            health=self.command.program.health,
            heading=f"[{time.strftime('%Y-%m-%d %H:%M:%S')}] $ {line}",
            secrets=hidden,
        )
        process.api_key = api_key
        return process

    async def _wait_until_ready(self, process: ProgramProcess) -> None:
        """Wait until the program is healthy, load its model, and ask for its properties."""
        progress = asyncio.create_task(_report_progress(process, self.on_step))
        try:
            address = await process.wait_healthy(self.healthy_seconds)
        finally:
            progress.cancel()
            await asyncio.wait([progress])
        headers = {"Authorization": f"Bearer {process.api_key}"} if process.api_key else {}
        limit = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        async with aiohttp.ClientSession(address, headers=headers, timeout=limit) as session:
            if self.command.program.pulls:
                await self._load_model(process, session)
            process.model_name = await find_model(session, self.workload.model_name)
            process.slots = await fetch_slots(
                session, self.command.program, process.argv, process.env
            )

    async def _load_model(self, process: ProgramProcess, session: aiohttp.ClientSession) -> None:
        workload = self.workload
        try:
            await bring_model(session, workload.model_name, workload.task_type, self.on_step)
        except (aiohttp.ClientError, TimeoutError) as error:
            # A process that died is started again; one that runs and does not respond is not.
            if process.exited.is_set():
                raise EngineDied(process.describe_exit()) from None
            raise EngineError(f"{process.name} does not respond: {type(error).__name__}") from error


async def _report_progress(process: EngineProcess, on_step: OnStep) -> None:
    reported = ""
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        last_line = process.log_tail(1).strip()[:STEP_CHARACTERS]
        if last_line and last_line != reported:
            reported = last_line
            on_step("bootstrapping", f"{process.name} is starting", last_line)


def _with_api_key(program: Program, bound: BoundCommand) -> tuple[str, dict[str, str]]:
    """Return the key that the program will expect, and its variables.

    A program that can require a key gets one even if its command has none: other users of this
    machine could send it requests otherwise.
    """
    variables = dict(bound.variables)
    given = option_value(bound.argv, program.api_key) or variables.get(program.key_variable) or ""
    api_key = given.partition(",")[0]
    if not api_key and program.key_variable:
        api_key = variables[program.key_variable] = secrets.token_hex(32)
    return api_key, variables
