"""Setting where a command listens: the platform chooses the port, not the command.

Pure: words in, words out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from attrs import frozen

from inferencekey.local.engines.programs.command import Command, is_option, value_after
from inferencekey.local.engines.programs.table import ANY

__all__ = ["BoundCommand", "bind"]

_PLACEHOLDER: Final = re.compile(r"\{(port|host)\}|\$\{(PORT|HOST)\}|\$(PORT|HOST)\b")


@frozen
class BoundCommand:
    """A command that listens where the platform wants.

    Attributes:
        argv: its words.
        variables: the variables to add to its environment.
        replaced: the parts of the user's command that were replaced, as written: `--port 8000`.
    """

    argv: tuple[str, ...]
    variables: Mapping[str, str]
    replaced: tuple[str, ...]


def bind(command: Command, port: int, host: str = "127.0.0.1") -> BoundCommand:
    """Make a command listen on a port.

    `{port}`, `$PORT`, `${PORT}` and the same for the host are replaced everywhere. For a program
    in the table, the options for port and host are then set, and its other options about where to
    listen are removed. For any other program, an existing `--port` or `--host` gets the
    platform's value, and none is added.
    """
    program = command.program
    values = {"port": str(port), "host": host}
    # The options of a wrapper in front of the program are not the program's: `docker -p …`.
    head = [_fill(word, values) for word in command.words[: command.start + 1]]
    tail = [_fill(word, values) for word in command.words[command.start + 1 :]]
    replaced: list[str] = []
    for options, value in ((program.port, values["port"]), (program.host, values["host"])):
        tail = _set_option(tail, options, value, replaced, add=program is not ANY)
    for option in program.place:
        tail = _remove_option(tail, (option,), replaced)
    ours = {name: text.format(**values) for name, text in program.variables.items()}
    theirs = {name: _fill(text, values) for name, text in command.variables.items()}
    for name, text in command.variables.items():
        if name in ours and ours[name] != text and not _PLACEHOLDER.search(text):
            replaced.append(f"{name}={text}")
    return BoundCommand((*head, *tail), {**theirs, **ours}, tuple(replaced))


def _fill(word: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return values[(match[1] or match[2] or match[3]).lower()]

    return _PLACEHOLDER.sub(value, word)


def _set_option(
    words: Sequence[str], options: Sequence[str], value: str, replaced: list[str], *, add: bool
) -> list[str]:
    """Return the words with the option set to *value*, where it stood first, or at the end.

    Args:
        words: the program's options.
        options: the names of the option.
        value: the new value.
        replaced: what was replaced is appended here.
        add: whether to add the option when the words do not have it.
    """
    places = [index for index, word in enumerate(words) if is_option(word, options)]
    if not places:
        if not options or not add:
            return list(words)
        return [*words, options[0], value]
    place = places[0]
    option = words[place].partition("=")[0]
    removed: list[str] = []
    rest = _remove_option(words, options, removed)
    # An option that has the platform's value already was not replaced.
    same = (f"{option} {value}", f"{option}={value}")
    replaced += [text for text in removed if text not in same]
    return [*rest[:place], option, value, *rest[place:]]


def _remove_option(words: Sequence[str], options: Sequence[str], removed: list[str]) -> list[str]:
    """Return the words without the option and its value; append both to *removed*."""
    kept: list[str] = []
    is_value = False
    for index, word in enumerate(words):
        if is_value:
            is_value = False
        elif not is_option(word, options):
            kept.append(word)
        else:
            value = None if "=" in word else value_after(words, index)
            is_value = value is not None
            removed.append(word if value is None else f"{word} {value}")
    return kept
