"""``inferencekey up --detach``: the platform as a process of its own, in the background."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from inferencekey.cli.failures import CommandError
from inferencekey.cli.signals import stop_flag
from inferencekey.local.data_dir import RunFile, create_private, is_locked
from inferencekey.local.process import find_platform

__all__ = ["Background", "start_in_background"]

START_SECONDS: Final = 60.0
"""A start takes a second; after a ``kill -9``, some more to end the engines that were left behind."""

POLL_SECONDS: Final = 0.05
STOP_SECONDS: Final = 20.0


@attrs.frozen
class Background:
    """A platform that runs in the background.

    Args:
        run: its process and its address.
        started: whether this command started it; ``False`` where it ran already.
    """

    run: RunFile
    started: bool


def start_in_background(host: str, port: int, data_dir: Path, project: str) -> Background:
    """Start a platform and return when it serves. If one runs on the data directory already, return that one.

    Raises:
        PlatformError: the data directory cannot be used.
        CommandError: it did not start; the message is what its process wrote. No process is left behind.
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
    # --json: only warnings and errors are written to stderr. The tokens go to stdout, and must not be kept in a log.
    command = [sys.executable, "-P", "-m", "inferencekey", "up", "--json", *options]
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as log:
        return subprocess.Popen(  # noqa: S603 (the words are ours, and no shell reads them)
            [*command, "--data", str(data_dir)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd=data_dir,
            # Without the terminal's session, a closed terminal and Ctrl-C in it leave the platform alone.
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
            # The new process has a session of its own: Ctrl-C reached this one only.
            raise KeyboardInterrupt
        ended = process.poll() is not None
        found = find_platform(data_dir)
        if found is not None and found.pid == process.pid:
            return Background(found, started=True)
        if found is not None and ended:
            # Two commands at once: the process of the other one has the directory.
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
    last = lines[-1] if lines else "it wrote nothing"
    return f"the platform ended with exit code {code} while it started: {last}; see {output}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
