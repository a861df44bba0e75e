"""One engine as a supervised child process: started, found healthy, stopped with its children."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import aiohttp
import psutil  # type: ignore[import-untyped, unused-ignore]

from inferencekey.local.engines.environment import engine_environment
from inferencekey.local.engines.health import DEFAULT_HEALTH, HEALTHY, Health, probe
from inferencekey.local.engines.process_log import ProcessLog
from inferencekey.local.engines.reap import kill_group
from inferencekey.local.engines.report_pipe import ReportPipe
from inferencekey.local.errors import EngineError
from inferencekey.local.records import EngineRecord

__all__ = ["EngineDied", "EngineProcess"]

PROBE_SECONDS: Final = 2.0
POLL_SECONDS: Final = 0.05
LONGEST_POLL_SECONDS: Final = 0.5

# An installed program does not watch its stdin. A shell in its process group does, detached from
# its parent, and kills the group when the platform is gone. `exec` then replaces the shell that
# starts the program, so the program itself has the process id that we know.
LIFELINE: Final = """
exec 3<&0 </dev/null
( ( while read -r _ <&3; do :; done; kill -KILL 0 ) >/dev/null 2>&1 & )
exec 3<&-
exec "$@"
"""


class EngineDied(EngineError):
    """The process ended without a report of why it cannot run: another start may work."""


class EngineProcess:
    """A program that serves HTTP, in a process group of its own.

    There are two kinds. An engine of ours chooses its port: ``--report-fd N`` is appended to its
    command, and it reports its address there (see ``report_pipe.py``). An installed program gets
    its port in its command, and the caller passes the *address*.

    The stdin of an engine of ours is a pipe that nothing is written to. The pipe ends when this
    process dies, in whatever way, and then the engine ends too. An installed program is killed
    then (see ``LIFELINE``).

    Args:
        argv: the command, without a shell.
        folder: the engine's own folder; the working directory of an engine of ours. Created if
            it does not exist.
        log: the file that its stdout and stderr are appended to (see ``process_log.py``).
        env: the whole environment of the process (see ``environment.py``); default: that of an
            engine of ours, with its folder as home.
        address: where an installed program will listen, e.g. ``http://127.0.0.1:8081``; ``None``
            for an engine of ours.
        name: the name in messages.
        health: how to see that it is healthy.
        heading: a line to write to the log first.
        secrets: what messages must not show.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        folder: Path,
        log: Path,
        env: Mapping[str, str] | None = None,
        address: str | None = None,
        name: str = "the engine",
        health: Health = DEFAULT_HEALTH,
        heading: str = "",
        secrets: Sequence[str] = (),
    ) -> None:
        self.argv = tuple(argv)
        self.folder = folder
        self.log = log
        self.name = name
        self.address = address
        self.exited = asyncio.Event()
        self.env = dict(engine_environment(folder) if env is None else env)
        self._log = ProcessLog(log, heading=heading, secrets=secrets)
        self._health = health
        self._last_status = "no response"
        self._installed = address is not None
        self._child: asyncio.subprocess.Process | None = None
        self._create_time = 0.0
        self._lifeline = -1
        self._report: ReportPipe | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its group."""
        return self._started.pid

    @property
    def create_time(self) -> float:
        """When the process began, in seconds since the epoch, as psutil reports it."""
        return self._create_time

    @property
    def record(self) -> EngineRecord:
        """What the next start of the platform needs to kill it."""
        return EngineRecord(self.pid, self.create_time)

    @property
    def log_start(self) -> int:
        """The offset in the log, in bytes, where the output of this process begins."""
        return self._log.start

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; ``None`` while the process runs."""
        return self._started.returncode

    @property
    def _started(self) -> asyncio.subprocess.Process:
        if self._child is None:
            raise EngineError(f"{self.name} has not been started")
        return self._child

    async def start(self) -> None:
        """Start the process; it is not healthy yet.

        Raises:
            EngineError: the program does not exist or cannot be run, or its folder or log cannot
                be written.
        """
        argv = list(self.argv)
        if self._installed:
            if shutil.which(argv[0], path=self.env.get("PATH")) is None:
                raise EngineError(
                    f"cannot start {self.name}: {argv[0]} is not a program on the PATH"
                )
            argv = ["/bin/sh", "-c", LIFELINE, "sh", *argv]
        try:
            self._child = await self._spawn(argv)
        except OSError as error:
            raise EngineError(
                f"cannot start {self.name}: {error.filename or argv[0]}: {error.strerror}"
            ) from error
        try:
            self._create_time = psutil.Process(self._child.pid).create_time()
        except psutil.NoSuchProcess:
            # It has ended already. Nothing will be found under this record, which is right.
            self._create_time = time.time()
        self._watch = asyncio.create_task(self._watch_exit(self._child))

    async def wait_healthy(self, timeout: float) -> str:
        """Wait until the engine is healthy and return its address.

        An error does not stop the process.

        Args:
            timeout: seconds for everything: the report, loading, the first response.

        Raises:
            EngineDied: the process ended; the message has the last lines of its log.
            EngineError: the engine reported why it cannot run, or the time is over.
        """
        try:
            async with asyncio.timeout(timeout):
                address = self.address
                if address is None:
                    address = self.address = await self._reported_address()
                await self._poll_until_healthy(address)
                # Another process may have taken the port first, and respond there while ours
                # fails to bind it and is about to end.
                if self._installed and await self._exits_within(POLL_SECONDS):
                    raise EngineDied(self.describe_exit())
        except TimeoutError:
            status = ""
            if self.address is not None:
                status = f" ({self.address}{self._health.paths[0]}: {self._last_status})"
            raise EngineError(
                f"{self.name} did not become healthy within {timeout:g} s{status}"
                f"{self._log.last_words()}"
            ) from None
        return address

    async def wait(self) -> int:
        """Wait until the process has ended; return its exit status, negative for a signal."""
        child = self._started
        await self.exited.wait()
        return -1 if child.returncode is None else child.returncode

    async def stop(self, grace: float = 5.0) -> None:
        """End the process and everything it started. A second call does nothing.

        The group gets SIGTERM, and after *grace* seconds SIGKILL. Cancelling this method skips
        the rest of the grace.
        """
        if self._child is None:
            return
        try:
            if not self.exited.is_set():
                kill_group(self._child.pid, signal.SIGTERM)
                await self._exits_within(grace)
        finally:
            if not self.exited.is_set():
                kill_group(self._child.pid)
        await self.exited.wait()

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines that it has printed since it was started, at most 16 KiB."""
        return self._log.tail(lines)

    def describe_exit(self) -> str:
        """Return one line: how it ended, and the last lines of its log."""
        return f"{self.name} ended with {_describe_status(self.returncode)}{self._log.last_words()}"

    async def _spawn(self, argv: list[str]) -> asyncio.subprocess.Process:
        """Start the child; keep our ends of its pipes only if that succeeds."""
        with ExitStack() as child_ends, ExitStack() as our_ends:
            stdin, lifeline = os.pipe()
            child_ends.callback(os.close, stdin)
            # The kernel closes our end when this process dies, however it dies.
            our_ends.callback(os.close, lifeline)
            inherited: list[int] = []
            if not self._installed:
                report = self._report = ReportPipe()
                child_ends.callback(report.close_write_end)
                our_ends.callback(report.close)
                inherited.append(report.write_end)
                argv += ["--report-fd", str(report.write_end)]
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            output = self._log.open()
            child_ends.callback(os.close, output)
            child = await asyncio.create_subprocess_exec(
                *argv,
                stdin=stdin,
                stdout=output,
                stderr=output,
                # A relative path in a user's command is relative to where the user started the
                # platform.
                cwd=None if self._installed else self.folder,
                env=self.env,
                pass_fds=inherited,
                # A session is also a process group: one signal reaches all that the child starts,
                # and Ctrl-C in our terminal does not reach the child before we have drained it.
                start_new_session=True,
            )
            our_ends.pop_all()
            self._lifeline = lifeline
            return child

    async def _poll_until_healthy(self, address: str) -> None:
        pause = POLL_SECONDS
        limit = aiohttp.ClientTimeout(total=PROBE_SECONDS)
        async with aiohttp.ClientSession(timeout=limit) as session:
            while True:
                self._last_status = await probe(session, address, self._health)
                if self._last_status == HEALTHY:
                    return
                if await self._exits_within(pause):
                    raise EngineDied(self.describe_exit())
                # A small model is healthy within a second, a large one after minutes.
                pause = min(LONGEST_POLL_SECONDS, pause * 1.1)

    async def _reported_address(self) -> str:
        if self._report is None:
            raise EngineError(f"{self.name} has no address")
        report = await self._report.read()
        if report is None:
            # The pipe ends a moment before the exit status is known.
            await self.exited.wait()
            raise EngineDied(self.describe_exit())
        if "error" in report:
            raise EngineError(str(report["error"]))
        return str(report["address"])

    async def _exits_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.exited.wait()
        return self.exited.is_set()

    async def _watch_exit(self, child: asyncio.subprocess.Process) -> None:
        await child.wait()
        # Right away: a moment later, another process may lead a group with this number.
        kill_group(child.pid)
        os.close(self._lifeline)
        if self._report is not None:
            self._report.close()
        self.exited.set()


def _describe_status(code: int | None) -> str:
    if code is None:
        return "an unknown status"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
