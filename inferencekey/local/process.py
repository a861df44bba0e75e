"""One engine as a supervised child process: started, found healthy, stopped with everything it started."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
import orjson
import psutil  # type: ignore[import-untyped, unused-ignore]

from inferencekey.local.environment import engine_environment
from inferencekey.local.errors import EngineError
from inferencekey.local.reap import EngineRecord, kill_group

__all__ = ["EngineDied", "EngineProcess"]

LOG_BYTES = 5 * 1024 * 1024
TAIL_BYTES = 16 * 1024
PROBE_SECONDS = 2.0
POLL_SECONDS = 0.05


class EngineProcess:
    """A program that serves HTTP, in a process group of its own.

    An engine of ours is told where to report: `--report-fd N` is appended to its command, and it writes one JSON line
    there, `{"address": …}` or `{"error": …}`. Any other program is given its port in its command, and `address` here.

    Its stdin is a pipe that nothing is written to: it reaches its end when this process dies, in whatever way.

    Args:
        argv: the command, without a shell.
        folder: the engine's own folder: its home, its temporary files, its working directory. Made if it is absent.
        log: the file its stdout and stderr are appended to (mode 0600; one older file is kept, `….1`, above 5 MB).
        env: variables besides the few that pass (see `environment.py`).
        address: where it will listen, e.g. `http://127.0.0.1:8081`; None: it reports it.
        name: how messages call it.
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
    ) -> None:
        self.argv = tuple(argv)
        self.folder = folder
        self.log = log
        self.name = name
        self.address = address
        self.exited = asyncio.Event()
        self._env = dict(env or {})
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
                cwd=self.folder,
                env=engine_environment(self.folder, self._env),
                pass_fds=passed,
                start_new_session=True,
            )
        except OSError as error:
            os.close(lifeline)
            self._close_report()
            raise EngineError(f"cannot start {self.name}: {error.filename or argv[0]}: {error.strerror}") from error
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
        """Wait until `GET {address}/health` answers 200, and return the address. The process is left as it is on error.

        Args:
            timeout: in seconds, for everything: reporting, loading, answering.

        Raises:
            EngineDied: it ended; with its last words.
            EngineError: it said itself why it cannot run, or took too long.
        """
        status = "no answer"
        try:
            async with asyncio.timeout(timeout):
                if self.address is None:
                    self.address = await self._reported_address()
                limit = aiohttp.ClientTimeout(total=PROBE_SECONDS)
                async with aiohttp.ClientSession(timeout=limit) as session:
                    while (status := await probe(session, self.address)) != "200":
                        if await self._exits_within(POLL_SECONDS):
                            raise EngineDied(self.describe_exit())
        except TimeoutError:
            words = "" if self.address is None else f" ({self.address}/health: {status})"
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
        try:
            with self.log.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(self._log_start, end - TAIL_BYTES))
                text = file.read(TAIL_BYTES).decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def describe_exit(self) -> str:
        """How it ended, with its last words, in one line."""
        return f"{self.name} ended with {exit_words(self.returncode)}{self._last_words()}"

    def _last_words(self) -> str:
        lines = [line.strip() for line in self.log_tail(3).splitlines() if line.strip()]
        said = f"; it said last: {' / '.join(lines)}" if lines else ""
        return f"{said} (log: {self.log})"

    def _open_log(self) -> int:
        self.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileNotFoundError):
            if self.log.stat().st_size > LOG_BYTES:
                self.log.replace(self.log.with_name(self.log.name + ".1"))
        descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._log_start = os.fstat(descriptor).st_size
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


async def probe(session: aiohttp.ClientSession, address: str) -> str:
    """What `GET {address}/health` answers, as a word for messages: `200`, `503`, or why there is no answer."""
    try:
        async with session.get(f"{address}/health") as answer:
            return str(answer.status)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return type(error).__name__


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
