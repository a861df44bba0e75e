"""How each shell sets a variable, and which shell runs this command."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import PurePath

__all__ = ["Shell", "assignment", "calling_shell", "eval_line", "shell_of"]


class Shell(StrEnum):
    """A shell that ``inferencekey env`` can write for."""

    SH = "sh"
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


_BY_PROGRAM = {
    "sh": Shell.SH,
    "dash": Shell.SH,
    "ash": Shell.SH,
    "ksh": Shell.SH,
    "bash": Shell.BASH,
    "zsh": Shell.ZSH,
    "fish": Shell.FISH,
    "pwsh": Shell.POWERSHELL,
    "powershell": Shell.POWERSHELL,
}
# Launchers, such as uv, may stand between this command and the shell.
_ANCESTORS = 6


def assignment(shell: Shell, name: str, value: str) -> str:
    """Return the line that sets an environment variable, with the value quoted."""
    if shell is Shell.FISH:
        # Inside single quotes, fish has two escapes: \\' and \\\\ (fish documentation, "Quotes").
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"set -gx {name} '{quoted}'"
    if shell is Shell.POWERSHELL:
        quoted = value.replace("'", "''")
        return f"$env:{name} = '{quoted}'"
    return f"export {name}={shlex.quote(value)}"


def eval_line(shell: Shell, command: str) -> str:
    """Return the command line with which a shell runs the output of *command*."""
    if shell is Shell.FISH:
        return f"{command} | source"
    if shell is Shell.POWERSHELL:
        return f"{command} | Out-String | Invoke-Expression"
    return f'eval "$({command})"'


def calling_shell() -> Shell:
    """Return the shell that runs this command: its nearest ancestor that is one, else ``$SHELL``.

    ``$SHELL`` alone is not enough: it is the login shell, even in a script for another shell.
    """
    return shell_of([*_ancestor_programs(), os.environ.get("SHELL", "")])


def shell_of(programs: Iterable[str]) -> Shell:
    """Return the first of *programs* that is a shell, else the default shell of the system.

    Args:
        programs: names or paths, the nearest ancestor first.
    """
    for program in programs:
        name = PurePath(program).name.lower().removesuffix(".exe").lstrip("-")
        if name in _BY_PROGRAM:
            return _BY_PROGRAM[name]
    return Shell.POWERSHELL if sys.platform == "win32" else Shell.SH


def _ancestor_programs() -> list[str]:
    import psutil  # type: ignore[import-untyped, unused-ignore]

    names: list[str] = []
    try:
        process = psutil.Process().parent()
        while process is not None and len(names) < _ANCESTORS:
            names.append(process.name())
            process = process.parent()
    except psutil.Error:
        pass  # an ancestor has ended, or belongs to another user
    return names
