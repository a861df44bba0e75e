"""Which program of this machine serves a workload, if one does."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from inferencekey._core.control.commands import split_command
from inferencekey.config import LOCAL_PROGRAMS
from inferencekey.local.engines.environment import CREDENTIALS
from inferencekey.local.engines.programs.command import (
    SECRET_OPTIONS,
    Command,
    option_value,
    read_command,
    usual_commands,
)
from inferencekey.local.engines.programs.installation import is_installed, missing
from inferencekey.local.records import StoredWorkload

__all__ = ["Selection", "programs_allowed", "secrets_of", "select_program"]


@frozen
class Selection:
    """The program for a workload, or why there is none.

    Attributes:
        command: what will be launched; `None` when there is none.
        why_not: why there is none, in a few words.
    """

    command: Command | None
    why_not: str = ""


def programs_allowed(*, exposed: bool, environ: Mapping[str, str] | None = None) -> bool:
    """Return whether workloads' commands are run: `INFERENCEKEY_LOCAL_PROGRAMS` is 1 or 0.

    Without it, they are run only if no other machine can reach the platform: everybody who has a
    control token can then run any command here.

    Args:
        exposed: whether other machines can reach the platform.
        environ: default: `os.environ`.
    """
    allowed = LOCAL_PROGRAMS.read(environ)
    return not exposed if allowed is None else allowed


def select_program(workload: StoredWorkload, *, allowed: bool) -> Selection:
    """Return the workload's own command if it has one, else what its backend usually launches.

    Args:
        workload: whose program.
        allowed: whether any program is run at all.
    """
    if _command_text(workload) is None:
        commands = usual_commands(workload.backend, workload.model_name, workload.task_type)
    else:
        own = _own_command(workload)
        commands = () if own is None else (own,)
    if not commands and _command_text(workload) is not None:
        return Selection(None, "the command of the workload does not run a program")
    if not commands:
        return Selection(None, f"no program is known for the backend {workload.backend}")
    command = next(filter(is_installed, commands), None)
    if command is None:
        return Selection(None, missing(commands[0]))
    if not allowed:
        return Selection(
            None,
            f"{command.name} is installed but not allowed to run"
            f" (set {LOCAL_PROGRAMS.name}=1 to allow it)",
        )
    return Selection(command)


def secrets_of(workload: StoredWorkload) -> tuple[str, ...]:
    """Return the credentials in a workload's own command; its program may print them."""
    command = _own_command(workload)
    if command is None:
        return ()
    found: list[str] = []
    for option in SECRET_OPTIONS:
        # vLLM and llama-server accept several keys, separated by commas.
        found += (option_value(command.words, [option]) or "").split(",")
    found += [text for name, text in command.variables.items() if name.endswith(CREDENTIALS)]
    return tuple(text for text in found if text)


def _command_text(workload: StoredWorkload) -> str | None:
    text = (workload.config or {}).get("command")
    return text if isinstance(text, str) else None


def _own_command(workload: StoredWorkload) -> Command | None:
    text = _command_text(workload)
    if text is None:
        return None
    try:
        return read_command(split_command(text))
    except ValueError:
        return None
