"""One engine as a supervised child process: started, found healthy, stopped with everything it started."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
import orjson
import psutil  # type: ignore[import-untyped, unused-ignore]

from inferencekey.local.engines.environment import engine_environment
from inferencekey.local.engines.log_text import read_tail
from inferencekey.local.engines.programs.table import Health
from inferencekey.local.engines.reap import kill_group
from inferencekey.local.errors import EngineError
from inferencekey.local.records import EngineRecord

__all__ = ["EngineDied", "EngineProcess"]

LOG_BYTES = 5 * 1024 * 1024
TAIL_BYTES = 16 * 1024
PROBE_SECONDS = 2.0
POLL_SECONDS = 0.05
LONGEST_POLL_SECONDS = 0.5
LAST_WORDS = 5
LAST_WORD_LETTERS = 300

# A program of somebody else's does not watch its stdin: a shell in its process group does, away from its parent, and
# takes the group along when the platform is gone. The program itself takes the place of the shell that starts it.
LIFELINE = """
exec 3<&0 </dev/null
( ( while read -r _ <&3; do :; done; kill -KILL 0 ) >/dev/null 2>&1 & )
exec 3<&-
exec "$@"
"""


HEALTH = Health()


class EngineProcess:
    """A program that serves HTTP, in a process group of its own.

    An engine of ours is told where to report: `--report-fd N` is appended to its command, and it writes one JSON line
    there, `{"address": …}` or `{"error": …}`. Any other program is given its port in its command, and `address` here.

    The stdin of an engine of ours is a pipe that nothing is written to: it reaches its end when this process dies, in
    whatever way. Any other program is killed then.

    Args:
        argv: the command, without a shell.
        folder: the engine's own folder: the working directory of one of ours. Made if it is absent.
        log: the file its stdout and stderr are appended to (mode 0600; one older file is kept, `….1`, above 5 MB).
        env: its whole environment (see `environment.py`); default: an engine's of ours, at home in its folder.
        address: where it will listen, e.g. `http://127.0.0.1:8081`; None: it is one of ours, and reports it.
        name: how messages call it.
        health: how it is seen that it answers.
        heading: a line to write to the log first.
        secrets: what its messages leave out.
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
        health: Health = HEALTH,
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
        self._health = health
        self._heading = heading
        self._secrets = tuple(secrets)
        self._theirs = address is not None
        self._child: asyncio.subprocess.Process | None = None
        self._create_time = 0.0
        self._lifeline = -1
        self._report: int | None = None
        self._log_start = 0
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The process id, which is also its group's."""
        return self._started.pid

    @property
    def create_time(self) -> float:
        """When the process began, in seconds since the epoch, as psutil says it."""
        return self._create_time

    @property
    def record(self) -> EngineRecord:
        """What a later start of the platform needs to reap it."""
        return EngineRecord(self.pid, self.create_time)

    @property
    def log_start(self) -> int:
        """Where in the log what it prints begins, in bytes."""
        return self._log_start

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._started.returncode

    @property
    def _started(self) -> asyncio.subprocess.Process:
        if self._child is None:
            raise EngineError(f"{self.name} has not been started")
        return self._child

    async def start(self) -> None:
        """Start the process; it is not healthy yet.

        Raises:
            EngineError: the program is not there or may not be run, or its folder or log cannot be written.
        """
        argv = list(self.argv)
        if self._theirs:
            if shutil.which(argv[0], path=self.env.get("PATH")) is None:
                raise EngineError(
                    f"cannot start {self.name}: {argv[0]} is not a program on the PATH"
                )
            argv = ["/bin/sh", "-c", LIFELINE, "sh", *argv]
        stdin, lifeline = os.pipe()
        to_close = [stdin]
        passed: list[int] = []
        try:
            if self.address is None:
                self._report, report_end = os.pipe()
                to_close.append(report_end)
                passed.append(report_end)
                argv += ["--report-fd", str(report_end)]
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            output = self._open_log()
            to_close.append(output)
            self._child = await asyncio.create_subprocess_exec(
                *argv,
                stdin=stdin,
                stdout=output,
                stderr=output,
                # A relative path in somebody's command means what it meant when the platform was started.
                cwd=None if self._theirs else self.folder,
                env=self.env,
                pass_fds=passed,
                start_new_session=True,
            )
        except OSError as error:
            os.close(lifeline)
            self._close_report()
            raise EngineError(
                f"cannot start {self.name}: {error.filename or argv[0]}: {error.strerror}"
            ) from error
        except BaseException:
            os.close(lifeline)
            self._close_report()
            raise
        finally:
            for descriptor in to_close:
                os.close(descriptor)
        self._lifeline = lifeline
        try:
            self._create_time = psutil.Process(self._child.pid).create_time()
        except psutil.NoSuchProcess:
            self._create_time = time.time()
        self._watch = asyncio.create_task(self._watch_exit(self._child))

    async def wait_healthy(self, timeout: float) -> str:
        """Wait until it answers, and return the address. The process is left as it is on error.

        Args:
            timeout: in seconds, for everything: reporting, loading, answering.

        Raises:
            EngineDied: it ended; with its last words.
            EngineError: it said itself why it cannot run, or took too long.
        """
        status, pause = "no answer", POLL_SECONDS
        try:
            async with asyncio.timeout(timeout):
                if self.address is None:
                    self.address = await self._reported_address()
                limit = aiohttp.ClientTimeout(total=PROBE_SECONDS)
                async with aiohttp.ClientSession(timeout=limit) as session:
                    while (status := await probe(session, self.address, self._health)) != "200":
                        if await self._exits_within(pause):
                            raise EngineDied(self.describe_exit())
                        pause = min(LONGEST_POLL_SECONDS, pause * 1.1)
                # Somebody else may have been faster to take the port, and answer there while ours is about to end.
                if self._theirs and await self._exits_within(POLL_SECONDS):
                    raise EngineDied(self.describe_exit())
        except TimeoutError:
            words = (
                ""
                if self.address is None
                else f" ({self.address}{self._health.paths[0]}: {status})"
            )
            raise EngineError(
                f"{self.name} did not become healthy within {timeout:g} s{words}{self._last_words()}"
            ) from None
        return self.address

    async def wait(self) -> int:
        """Wait until the process has ended, and return its exit status, negative for a signal."""
        child = self._started
        await self.exited.wait()
        return -1 if child.returncode is None else child.returncode

    async def stop(self, grace: float = 5.0) -> None:
        """End the process and everything it started: SIGTERM to the group, after `grace` seconds SIGKILL. Idempotent.

        Cancelling it skips what is left of the grace.
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
        """The last lines it printed since it was started; at most 16 KiB."""
        part = read_tail(
            self.log, lines, start=self._log_start, limit=TAIL_BYTES, secrets=self._secrets
        )
        return "\n".join(part.lines)

    def describe_exit(self) -> str:
        """How it ended, with its last words, in one line."""
        return f"{self.name} ended with {exit_words(self.returncode)}{self._last_words()}"

    def _last_words(self) -> str:
        lines = [
            line.strip()[:LAST_WORD_LETTERS]
            for line in self.log_tail().splitlines()
            if line.strip()
        ][-LAST_WORDS:]
        said = f"; it said last: {' / '.join(lines)}" if lines else ""
        return f"{said} (log: {self.log})"

    def _open_log(self) -> int:
        self.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileNotFoundError):
            if self.log.stat().st_size > LOG_BYTES:
                self.log.replace(self.log.with_name(self.log.name + ".1"))
        descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if self._heading:
                # Its predecessor may have died in the middle of a line.
                fresh = ends_in_newline(self.log)
                os.write(descriptor, f"{'' if fresh else chr(10)}{self._heading}\n".encode())
            self._log_start = os.fstat(descriptor).st_size
        except BaseException:  # a full disk
            os.close(descriptor)
            raise
        return descriptor

    async def _reported_address(self) -> str:
        """The address of the report; the process has ended when there is none."""
        if self._report is None:
            raise EngineError(f"{self.name} has no address")
        reader = asyncio.StreamReader()
        pipe = os.fdopen(self._report, "rb", buffering=0)
        self._report = None
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            line = await reader.readline()
        finally:
            transport.close()
        try:
            report = orjson.loads(line)
        except orjson.JSONDecodeError:
            await self.exited.wait()
            raise EngineDied(self.describe_exit()) from None
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
        # At once, while no other process can have come to lead a group of this number.
        kill_group(child.pid)
        os.close(self._lifeline)
        self._close_report()
        self.exited.set()

    def _close_report(self) -> None:
        if self._report is not None:
            os.close(self._report)
            self._report = None


class EngineDied(EngineError):
    """The process ended without saying why it cannot run: trying again may help."""


async def probe(session: aiohttp.ClientSession, address: str, health: Health = HEALTH) -> str:
    """What the engine's health is, as a word for messages: `200`, `503`, or why there is no answer."""
    status = 0
    try:
        for path in health.paths:
            async with session.get(address + path, allow_redirects=False) as answer:
                status = answer.status
            if status != 404:
                break
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return type(error).__name__
    return "200" if health.any_answer and status < 500 else str(status)


def exit_words(code: int | None) -> str:
    """An exit status as people read it."""
    if code is None:
        return "an unknown status"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def ends_in_newline(path: Path) -> bool:
    """Whether a text can go on with a line of its own: so it can in an empty one."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
