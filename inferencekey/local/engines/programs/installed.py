"""Whether the program of a command is on this machine."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

from inferencekey.local.engines.environment import program_environment
from inferencekey.local.engines.programs.command import Command

__all__ = ["is_installed", "missing"]

ASK_SECONDS: Final = 5.0
REMEMBERED_SECONDS: Final = 30.0

_PLAIN_WRAPPERS: Final = (
    "nice",
    "ionice",
    "nohup",
    "numactl",
    "setsid",
    "stdbuf",
    "taskset",
    "time",
    "timeout",
)
"""They run what follows as a shell here would."""

_NO_PROGRAM: Final = tuple("-0123456789")

_ASK: Final = "import sys, importlib.util as u; sys.exit(u.find_spec(sys.argv[1]) is None)"
_asked: dict[tuple[str, str], tuple[float, bool]] = {}


def is_installed(command: Command) -> bool:
    """Whether the command's first word is a program: on the `PATH`, or a path to one.

    For `python -m MODULE`, whether that Python has the module's package: it is asked, in some 20 ms, and what it said is
    taken for 30 s. What stands behind `nice` and the like must be there as well; what is behind other wrappers, as
    `docker run` and `uv run`, they know themselves.
    """
    executable = shutil.which(command.executable)
    if executable is None:
        return False
    if command.start:
        if not _plainly_wrapped(command):
            return True
        executable = shutil.which(command.words[command.start])
        if executable is None:
            return False
    return not command.module or _has(executable, command.module.partition(".")[0])


def missing(command: Command) -> str:
    """Return the words for a command that is not installed: what it is that is not there."""
    path = command.executable
    if "/" not in path or shutil.which(path) is not None:
        return f"no {command.name} installed here"
    return (
        f"{path} is no program that can be run" if Path(path).exists() else f"{path} is not there"
    )


def _plainly_wrapped(command: Command) -> bool:
    before = command.words[: command.start]
    return all(
        word.rpartition("/")[2] in _PLAIN_WRAPPERS or word.startswith(_NO_PROGRAM)
        for word in before
    )


def _has(python: str, package: str) -> bool:
    when, known = _asked.get((python, package), (float("-inf"), False))
    if time.monotonic() - when < REMEMBERED_SECONDS:
        return known
    try:
        asked = subprocess.run(  # noqa: S603 - the user's own Python, and the name of a package
            [python, "-c", _ASK, package],
            capture_output=True,
            check=False,
            cwd="/",  # the folder we are in says nothing about what is installed
            env=program_environment(),
            timeout=ASK_SECONDS,
        )
        known = asked.returncode == 0
    except (OSError, subprocess.SubprocessError):
        known = False
    _asked[python, package] = (time.monotonic(), known)
    return known
