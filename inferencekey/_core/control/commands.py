"""A workload's command, read as a shell reads it: its words, and which engine's program it runs.

The local platform launches what these functions recognise, and the SDK warns about what does not
fit the backend, so both read a command in the same way.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final

import attrs

from inferencekey.models import Backend

__all__ = [
    "ENGINE_PROGRAMS",
    "LLAMA_SERVER",
    "OLLAMA",
    "SGLANG",
    "VLLM",
    "EngineProgram",
    "command_problem",
    "module_at",
    "program_backends",
    "program_name",
    "split_command",
    "split_variables",
]


@attrs.frozen(kw_only=True)
class EngineProgram:
    """A program that is known to serve some backends, and only those.

    Args:
        name: its file's name.
        backends: what it serves.
        packages: the Python packages that ``python -m`` starts it from.
        server_modules: the modules of those packages that are its HTTP server.
    """

    name: str
    backends: tuple[Backend, ...]
    packages: tuple[str, ...] = ()
    server_modules: tuple[str, ...] = ()


VLLM: Final = EngineProgram(
    name="vllm",
    backends=(Backend.VLLM, Backend.VLLM_OMNI),
    packages=("vllm",),
    server_modules=("vllm.entrypoints.openai.api_server",),
)
SGLANG: Final = EngineProgram(
    name="sglang",
    backends=(Backend.SGLANG,),
    packages=("sglang",),
    server_modules=("sglang.launch_server",),
)
OLLAMA: Final = EngineProgram(name="ollama", backends=(Backend.OLLAMA,))
LLAMA_SERVER: Final = EngineProgram(
    name="llama-server", backends=(Backend.LLAMACPP,), packages=("llama_cpp",)
)

ENGINE_PROGRAMS: Final = (
    VLLM,
    EngineProgram(name="vllm-omni", backends=(Backend.VLLM_OMNI,), packages=("vllm_omni",)),
    SGLANG,
    OLLAMA,
    LLAMA_SERVER,
    EngineProgram(name="llama-cli", backends=(Backend.LLAMACPP,)),
    EngineProgram(name="sd-server", backends=(Backend.STABLE_DIFFUSION_CPP,)),
)
"""Wrappers, shells, containers and a user's own scripts are missing: they may run anything."""

_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_PYTHON: Final = re.compile(r"python[0-9.]*")


def split_command(command: str) -> list[str]:
    """Split a command into words as a POSIX shell does, without expanding anything.

    Raises:
        ValueError: a quote is not closed.
    """
    return shlex.split(command)


def command_problem(command: str) -> str | None:
    """Return what is wrong with it, to be read after its field's name; ``None`` if nothing is."""
    try:
        words = split_command(command)
    except ValueError as error:
        return f"cannot be split into words as a shell does: {error}"
    if not words:
        return "must not be empty; leave it out for the backend's usual launch"
    if "\0" in command:
        # execve(2) takes its arguments as NUL-terminated strings.
        return "must not contain NUL characters"
    return None


def split_variables(
    words: Sequence[str], *, skip_env: bool = False
) -> tuple[dict[str, str], list[str]]:
    """Return the ``NAME=value`` words in front of a command, and the words of the command itself.

    Args:
        words: the words of the whole command.
        skip_env: leave out a plain ``env`` in front as well. One with options is always kept: it is
            a wrapper, and what it runs depends on the options.
    """
    rest = list(words)
    variables: dict[str, str] = {}
    while rest:
        if _ASSIGNMENT.match(rest[0]):
            name, _, value = rest.pop(0).partition("=")
            variables[name] = value
        elif skip_env and _is_plain_env(rest):
            rest.pop(0)
        else:
            break
    return variables, rest


def _is_plain_env(words: Sequence[str]) -> bool:
    has_options = len(words) > 1 and words[1].startswith("-")
    return program_name(words[0]) == "env" and not has_options


def program_name(word: str) -> str:
    """Return the name of the program that a word runs, without its directory and ``.exe``."""
    return re.split(r"[/\\]", word)[-1].removesuffix(".exe")


def module_at(words: Sequence[str], start: int = 0) -> str:
    """Return the module that ``python -m`` at *start* runs; empty if it is not that."""
    if start >= len(words) or not _PYTHON.fullmatch(program_name(words[start])):
        return ""
    for index in range(start + 1, len(words) - 1):
        if words[index] == "-m":
            return words[index + 1]
        if not words[index].startswith("-"):
            break  # a script: what follows are the script's own arguments
    return ""


def program_backends(name: str = "", *, module: str = "") -> tuple[Backend, ...]:
    """Return the backends of a program, by its name or by the module that ``python -m`` runs.

    Returns:
        Nothing if the program may serve any backend.
    """
    package = module.partition(".")[0]
    for program in ENGINE_PROGRAMS:
        if (name and name == program.name) or (package and package in program.packages):
            return program.backends
    return ()
