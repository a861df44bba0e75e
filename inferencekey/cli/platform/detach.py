"""``inferencekey up --detach``: start the platform as a process in the background."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from inferencekey.cli.printing.failures import CommandError
from inferencekey.cli.signals import stop_flag
from inferencekey.local.data_dir import RunFile, create_private, is_locked
from inferencekey.local.process import find_platform

__all__ = ["Background", "start_in_background"]

START_SECONDS: Final = 60.0
"""The longest time to wait for a start.

A start takes a second. After a ``kill -9``, the platform first ends the engines that are left.
"""

POLL_SECONDS: Final = 0.05
STOP_SECONDS: Final = 20.0


@attrs.frozen
class Background:
    """A platform that runs in the background.

    Args:
        run: its process and its address.
        started: whether this command started it; ``False`` if it already ran.
    """

    run: RunFile
    started: bool


def start_in_background(host: str, port: int, data_dir: Path, project: str) -> Background:
    """Start a platform and return when it serves.

    If a platform already runs on the data directory, return that one.

    Raises:
        PlatformError: the data directory cannot be used.
        CommandError: the platform did not start. The message is the error of its process, which
            has ended.
    """
    found = find_platform(data_dir)
    if found is not None:
        return Background(found, started=False)
    for directory in (data_dir, data_dir / "logs"):
        create_private(directory)
    output = data_dir / "logs" / "up.log"
    options = ["--host", host, "--port", str(port), "--project", project]
    with stop_flag() as is_interrupted:
        process = _start(options, data_dir, output)
        try:
            return _wait(process, data_dir, output, is_interrupted)
        except BaseException:
            _stop(process)
            raise


def _start(options: list[str], data_dir: Path, output: Path) -> subprocess.Popen[bytes]:
    # With --json, stderr gets warnings and errors only. stdout gets the tokens, which must not be
    # written to a log.
    command = [sys.executable, "-P", "-m", "inferencekey", "up", "--json", *options]
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as log:
        return subprocess.Popen(  # noqa: S603 (the words are ours, and no shell reads them)
            [*command, "--data", str(data_dir)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd=data_dir,
            # Ctrl-C in a terminal, or closing it, signals the processes of its session only.
            start_new_session=True,
        )


def _wait(
    process: subprocess.Popen[bytes],
    data_dir: Path,
    output: Path,
    is_interrupted: Callable[[], bool],
) -> Background:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if is_interrupted():
            # Ctrl-C did not reach the new process, which has a session of its own.
            raise KeyboardInterrupt
        ended = process.poll() is not None
        found = find_platform(data_dir)
        if found is not None and found.pid == process.pid:
            return Background(found, started=True)
        if found is not None and ended:
            # A second command has started a platform at the same time, and got the directory.
            return Background(found, started=False)
        if ended and not is_locked(data_dir):
            break
        time.sleep(POLL_SECONDS)
    if process.returncode is not None:
        raise CommandError(_reason(process.returncode, output))
    raise CommandError(f"the platform did not start within {START_SECONDS:g} s; see {output}")


def _reason(code: int, output: Path) -> str:
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in reversed(lines):
        if line.startswith("error: "):
            return line.removeprefix("error: ")
    last = lines[-1] if lines else "no output"
    return f"the platform ended with exit code {code} during its start: {last}; see {output}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
