"""A workload's command as a list of words: which program it starts, and the same command told where to listen.

Pure: words in, words out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from attrs import frozen

from inferencekey.local.engines.programs.table import ANY, PROGRAMS, TASK, USUAL, Program

__all__ = [
    "Command",
    "Listening",
    "listening",
    "option_value",
    "read_command",
    "shown",
    "usual_commands",
]

_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_PYTHON: Final = re.compile(r"python[0-9.]*\Z")
_PLACEHOLDER: Final = re.compile(r"\{(port|host)\}|\$\{(PORT|HOST)\}|\$(PORT|HOST)\b")


@frozen
class Command:
    """A command that can be launched.

    Attributes:
        program: what is known of it.
        words: the command itself.
        start: where the program's own words begin: not 0 after a wrapper such as `nice` or `uv run`.
        module: what `python -m` runs, where that is what it is.
        variables: `NAME=value` words that stood in front, as in a shell.
    """

    program: Program
    words: tuple[str, ...]
    start: int = 0
    module: str = ""
    variables: Mapping[str, str] = {}

    @property
    def executable(self) -> str:
        """What must be there for it to run."""
        return self.words[0]

    @property
    def name(self) -> str:
        """As messages call it."""
        return self.program.name or _base(self.words[0])


@frozen
class Listening:
    """A command that is told where to listen.

    Attributes:
        argv: its words.
        variables: what its environment gets besides.
        replaced: what of the command's own gave way, as it was written: `--port 8000`.
    """

    argv: tuple[str, ...]
    variables: Mapping[str, str]
    replaced: tuple[str, ...]


def read_command(words: Sequence[str]) -> Command | None:
    """Recognise a command. None when nothing is left to run, as in `A=1`."""
    rest = list(words)
    variables: dict[str, str] = {}
    while rest and (_ASSIGNMENT.match(rest[0]) or _base(rest[0]) == "env"):
        if _base(rest[0]) == "env" and rest[1:] and rest[1].startswith("-"):
            break  # it has options of its own: a wrapper like any other
        word = rest.pop(0)
        if _ASSIGNMENT.match(word):
            name, _, value = word.partition("=")
            variables[name] = value
    if not rest:
        return None
    for start in range(len(rest)):
        program, module = _program_at(rest, start)
        if program is not None:
            return Command(program, tuple(rest), start, module, variables)
    return Command(ANY, tuple(rest), 0, _module_at(rest, 0), variables)


def usual_commands(backend: str, model: str, task_type: str) -> tuple[Command, ...]:
    """What a backend launches for a model when the workload has no command, best first; empty: nothing is known."""
    values = {
        "{model}": model,
        "{source}": "-m" if model.endswith(".gguf") else "-hf",
        "{task}": TASK.get((backend, task_type), ""),
    }
    lines = ([values.get(word, word) for word in line] for line in USUAL.get(backend, ()))
    commands = (read_command([word for word in line if word]) for line in lines)
    return tuple(command for command in commands if command is not None)


def listening(command: Command, port: int, host: str = "127.0.0.1") -> Listening:
    """Tell a command where to listen: the platform owns that, whatever the command says.

    `{port}`, `$PORT`, `${PORT}` and the same for the host are replaced wherever they stand. Of a program in the table, the
    options for port and host are then set, and those about other places to listen are gone. Of any other program, an
    option `--port` or `--host` that is there gets the platform's value, and none is added.
    """
    program = command.program
    values = {"port": str(port), "host": host}
    head = [_filled(word, values) for word in command.words[: command.start + 1]]
    tail = [_filled(word, values) for word in command.words[command.start + 1 :]]
    replaced: list[str] = []
    for options, value in ((program.port, values["port"]), (program.host, values["host"])):
        tail = _with_option(tail, options, value, replaced, add=program is not ANY)
    for option in program.place:
        tail = _without_option(tail, (option,), replaced)
    given = {name: text.format(**values) for name, text in program.variables.items()}
    variables = {
        **{name: _filled(text, values) for name, text in command.variables.items()},
        **given,
    }
    replaced += [
        f"{name}={text}" for name, text in command.variables.items() if _ousted(name, text, given)
    ]
    return Listening((*head, *tail), variables, tuple(replaced))


def option_value(words: Sequence[str], options: Iterable[str]) -> str | None:
    """Return what the command says for an option, the last time it does; None without it."""
    found: str | None = None
    names = {_plain(option) for option in options}
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if _plain(name) in names:
            found = value if equals else _value_after(words, index)
    return found


def shown(words: Sequence[str], secrets: Iterable[str] = ()) -> str:
    """Return the command as a line for people."""
    hidden = [secret for secret in secrets if secret]
    return " ".join(_shown(word, hidden) for word in words)


def _shown(word: str, secrets: Iterable[str]) -> str:
    rest = word
    for secret in secrets:
        rest = rest.replace(secret, "…")
    # Quotes would change a secret with a quote in it: what hides one is not quoted.
    return shlex.quote(word) if rest == word else rest


def _program_at(words: Sequence[str], start: int) -> tuple[Program | None, str]:
    word = words[start]
    if start and "/" in word and not word.startswith(("/", "./", "../")):
        return None, ""  # behind a wrapper, `ollama/ollama` is an image and no program
    base = _base(word)
    follows = words[start + 1] if start + 1 < len(words) else ""
    module = _module_at(words, start)
    for program in PROGRAMS:
        if module in program.modules:
            return program, module
        if base == program.name and (not program.subcommand or follows == program.subcommand):
            return program, ""
    return None, ""


def _module_at(words: Sequence[str], start: int) -> str:
    """What `python -m` runs; empty where that is not what the words say."""
    if not _PYTHON.match(_base(words[start])):
        return ""
    for index in range(start + 1, len(words) - 1):
        if words[index] == "-m":
            return words[index + 1]
        if not words[index].startswith("-"):
            break  # a script
    return ""


def _base(word: str) -> str:
    return word.rpartition("/")[2]


def _plain(option: str) -> str:
    """Some of the programs take `--max_num_seqs` for `--max-num-seqs`."""
    return option.replace("_", "-")


def _value_after(words: Sequence[str], index: int) -> str | None:
    follows = words[index + 1] if index + 1 < len(words) else None
    return None if follows is None or follows.startswith("--") else follows


def _filled(word: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return values[(match[1] or match[2] or match[3]).lower()]

    return _PLACEHOLDER.sub(value, word)


def _with_option(
    words: Sequence[str], options: Sequence[str], value: str, replaced: list[str], *, add: bool
) -> list[str]:
    """Return the words with the option set to *value*: where it stood first, else at the end."""
    place = next((index for index, word in enumerate(words) if _names(word, options)), None)
    if not options or (place is None and not add):
        return list(words)
    if place is None:
        return [*words, options[0], value]
    option = words[place].partition("=")[0]
    ousted: list[str] = []
    rest = _without_option(words, options, ousted)
    # What says the same already does not give way.
    replaced += [text for text in ousted if text not in (f"{option} {value}", f"{option}={value}")]
    return [*rest[:place], option, value, *rest[place:]]


def _without_option(words: Sequence[str], options: Sequence[str], replaced: list[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for index, word in enumerate(words):
        if skip:
            skip = False
            continue
        if not _names(word, options):
            kept.append(word)
            continue
        value = None if "=" in word else _value_after(words, index)
        skip = value is not None
        replaced.append(word if value is None else f"{word} {value}")
    return kept


def _names(word: str, options: Sequence[str]) -> bool:
    name = _plain(word.partition("=")[0])
    return any(name == _plain(option) for option in options)


def _ousted(name: str, text: str, given: Mapping[str, str]) -> bool:
    return name in given and given[name] != text and not _PLACEHOLDER.search(text)
