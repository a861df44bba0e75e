"""Whether the program of a command is installed on this machine."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

from inferencekey._core.control.commands import program_name
from inferencekey.local.engines.environment import program_environment
from inferencekey.local.engines.programs.command import Command

__all__ = ["is_installed", "missing"]

PROBE_SECONDS: Final = 5.0
REMEMBERED_SECONDS: Final = 30.0

_TRANSPARENT_WRAPPERS: Final = (
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
"""Wrappers that look for the program behind them on our own `PATH`."""

_OPTION_OR_NUMBER: Final = tuple("-0123456789")

_FIND_PACKAGE: Final = "import sys, importlib.util as u; sys.exit(u.find_spec(sys.argv[1]) is None)"
_known: dict[tuple[str, str], tuple[float, bool]] = {}
"""By Python and package: when it was looked for, and whether it was found."""


def is_installed(command: Command) -> bool:
    """Return whether the command's program exists: on the `PATH`, or at its path.

    For `python -m MODULE`, that Python is run to see whether it has the package of the module. It
    takes some 20 ms, and the result is remembered for 30 s. What stands behind `nice` and similar
    wrappers must exist as well. Other wrappers, such as `docker run` and `uv run`, find their
    programs elsewhere.
    """
    executable = shutil.which(command.executable)
    if executable is None:
        return False
    if command.start:
        if not _is_transparently_wrapped(command):
            return True
        executable = shutil.which(command.words[command.start])
        if executable is None:
            return False
    return not command.module or _has_package(executable, command.module.partition(".")[0])


def missing(command: Command) -> str:
    """Return why a command that is not installed cannot be launched, in a few words."""
    path = command.executable
    if "/" not in path or shutil.which(path) is not None:
        return f"{command.name} is not installed here"
    if Path(path).exists():
        return f"{path} is not an executable program"
    return f"{path} does not exist"


def _is_transparently_wrapped(command: Command) -> bool:
    return all(
        program_name(word) in _TRANSPARENT_WRAPPERS or word.startswith(_OPTION_OR_NUMBER)
        for word in command.words[: command.start]
    )


def _has_package(python: str, package: str) -> bool:
    when, found = _known.get((python, package), (float("-inf"), False))
    if time.monotonic() - when < REMEMBERED_SECONDS:
        return found
    try:
        probe = subprocess.run(  # noqa: S603 - the user's own Python, and the name of a package
            [python, "-c", _FIND_PACKAGE, package],
            capture_output=True,
            check=False,
            cwd="/",  # a package in our working directory is not installed
            env=program_environment(),
            timeout=PROBE_SECONDS,
        )
        found = probe.returncode == 0
    except (OSError, subprocess.SubprocessError):
        found = False
    _known[python, package] = (time.monotonic(), found)
    return found
