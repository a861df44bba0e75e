"""A workload's command as a list of words, and the program that it starts.

Pure: no file is looked at. ``binding.py`` sets where the command listens.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from attrs import frozen

from inferencekey._core.control.commands import module_at, program_name, split_variables
from inferencekey.local.engines.programs.table import ANY, PROGRAMS, TASK, USUAL, Program

__all__ = [
    "SECRET_OPTIONS",
    "Command",
    "display",
    "is_option",
    "option_value",
    "read_command",
    "usual_commands",
    "value_after",
]

SECRET_OPTIONS: Final = (
    "--api-key",
    "--hf-token",
    "-hft",
    "--admin-api-key",
    "--ssl-keyfile-password",
)
"""The options of any program whose value is a credential."""


@frozen
class Command:
    """A command that can be launched.

    Attributes:
        program: what is known of it.
        words: the command itself.
        start: the index of the program's own name: not 0 after a wrapper such as `nice` or
            `uv run`.
        module: what `python -m` runs; empty if the command is not that.
        variables: the `NAME=value` words in front of the command, as in a shell.
    """

    program: Program
    words: tuple[str, ...]
    start: int = 0
    module: str = ""
    variables: Mapping[str, str] = {}

    @property
    def executable(self) -> str:
        """The file that must exist for the command to run."""
        return self.words[0]

    @property
    def name(self) -> str:
        """The name in messages."""
        return self.program.name or program_name(self.words[0])


def read_command(words: Sequence[str]) -> Command | None:
    """Recognise a command; return `None` when it has nothing to run, as in `A=1`."""
    variables, rest = split_variables(words, skip_env=True)
    if not rest:
        return None
    # A known program may stand behind a wrapper, so each word may be its name.
    for start in range(len(rest)):
        program = _program_at(rest, start)
        if program is not None:
            return Command(program, tuple(rest), start, _module_of(program, rest, start), variables)
    return Command(ANY, tuple(rest), 0, module_at(rest), variables)


def usual_commands(backend: str, model: str, task_type: str) -> tuple[Command, ...]:
    """Return what a workload without a command launches, best first; empty if that is unknown."""
    values = {
        "{model}": model,
        "{source}": "-m" if model.endswith(".gguf") else "-hf",
        "{task}": TASK.get((backend, task_type), ""),
    }
    found: list[Command] = []
    for line in USUAL.get(backend, ()):
        words = [values.get(word, word) for word in line]
        command = read_command([word for word in words if word])
        if command is not None:
            found.append(command)
    return tuple(found)


def option_value(words: Sequence[str], options: Iterable[str]) -> str | None:
    """Return the value of the last of these options in a command; `None` if it has none."""
    options = tuple(options)
    found: str | None = None
    for index, word in enumerate(words):
        # These programs use the last value when an option is given twice.
        if is_option(word, options):
            _, equals, value = word.partition("=")
            found = value if equals else value_after(words, index)
    return found


def is_option(word: str, options: Iterable[str]) -> bool:
    """Return whether a word is one of these options, with or without `=value`.

    Some programs accept `--max_num_seqs` for `--max-num-seqs`.
    """
    name = word.partition("=")[0].replace("_", "-")
    return any(name == option.replace("_", "-") for option in options)


def value_after(words: Sequence[str], index: int) -> str | None:
    """Return the word after an option, if it is not an option itself."""
    # Only two dashes mark an option here: `-1` is a common value.
    if index + 1 >= len(words) or words[index + 1].startswith("--"):
        return None
    return words[index + 1]


def display(words: Sequence[str], secrets: Iterable[str] = ()) -> str:
    """Return a command as one line for people, without the secrets."""
    hidden = [secret for secret in secrets if secret]
    return " ".join(_display_word(word, hidden) for word in words)


def _display_word(word: str, secrets: Iterable[str]) -> str:
    without_secrets = word
    for secret in secrets:
        without_secrets = without_secrets.replace(secret, "…")
    if without_secrets != word:
        # Not quoted: a secret with a quote in it would not be found after quoting.
        return without_secrets
    return shlex.quote(word)


def _program_at(words: Sequence[str], start: int) -> Program | None:
    word = words[start]
    if start and "/" in word and not word.startswith(("/", "./", "../")):
        return None  # behind a wrapper, `ollama/ollama` is a container image, not a program
    name = program_name(word)
    next_word = words[start + 1] if start + 1 < len(words) else ""
    module = module_at(words, start)
    for program in PROGRAMS:
        if module in program.modules:
            return program
        if name == program.name and program.subcommand in ("", next_word):
            return program
    return None


def _module_of(program: Program, words: Sequence[str], start: int) -> str:
    module = module_at(words, start)
    return module if module in program.modules else ""
