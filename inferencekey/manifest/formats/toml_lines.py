"""The line of every value of a TOML text, which :mod:`tomllib` does not report.

The text is known to be TOML (``tomllib`` has read it), so this only has to find the keys. It knows
comments, the four kinds of strings, lists, inline tables, dotted keys and headers; everything else
is the text of a value.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final

from inferencekey.manifest.formats.lines import LineNumbers

__all__ = ["toml_lines"]

Keys = tuple[str | int, ...]

_SPACE: Final = re.compile(r"[ \t]*")
_SPACE_AND_LINES: Final = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_KEY: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_STRING: Final = re.compile(
    r'''"""(?:[^"\\]|\\.|"(?!""))*"""(?:"{0,2})'''
    r"""|'''(?:[^']|'(?!''))*'''(?:'{0,2})"""
    r'''|"(?:[^"\\\n]|\\.)*"'''
    r"""|'[^'\n]*'""",
    re.DOTALL,
)
_OTHER: Final = re.compile(r"[^,\]}#\n]*")


def toml_lines(text: str) -> dict[Keys, int]:
    """Return the line of each value by its path; of a table, the line that opens it."""
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.numbers = LineNumbers(text)
        self.lines: dict[Keys, int] = {(): 1}
        self.lengths: dict[Keys, int] = {}  # how many tables each array of tables has

    def scan(self) -> dict[Keys, int]:
        table: Keys = ()
        while self.skip(_SPACE_AND_LINES) < len(self.text):
            if self.accept("["):
                table = self.header(array=self.accept("["))
            else:
                self.pair(table)
        return self.lines

    def skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def accept(self, mark: str) -> bool:
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def add_line(self, keys: Keys, line: int) -> None:
        """Record a line; a table that is opened in several places has the first one."""
        self.lines.setdefault(keys, line)

    def header(self, *, array: bool) -> Keys:
        line = self.numbers.at(self.at)
        table: Keys = ()
        names = self.dotted()
        for name in names[:-1]:
            table = self.last_of((*table, name))
            self.add_line(table, line)
        table = (*table, names[-1])
        if array:
            self.add_line(table, line)
            self.lengths[table] = self.lengths.get(table, 0) + 1
        table = self.last_of(table)
        # A table that was only part of another header's name has the line of its own header.
        self.lines[table] = line
        self.accept("]]" if array else "]")
        return table

    def last_of(self, table: Keys) -> Keys:
        """Return the path of the last table of an array of tables; any other table's own path."""
        if table in self.lengths:
            return (*table, self.lengths[table] - 1)
        return table

    def pair(self, table: Keys) -> None:
        line = self.numbers.at(self.at)
        for name in self.dotted():
            table = (*table, name)
            self.add_line(table, line)
        self.accept("=")
        self.skip(_SPACE)
        self.value(table)

    def dotted(self) -> list[str]:
        names: list[str] = []
        while not names or self.accept("."):
            self.skip(_SPACE)
            start = self.at
            self.skip(_KEY)
            names.append(_unquoted(self.text[start : self.at]))
            self.skip(_SPACE)
        return names

    def value(self, keys: Keys) -> None:
        if self.accept("["):
            index = 0
            while not self.accept_after_space("]"):
                self.add_line((*keys, index), self.numbers.at(self.at))
                self.value((*keys, index))
                self.accept_after_space(",")
                index += 1
        elif self.accept("{"):
            while not self.accept_after_space("}"):
                self.pair(keys)
                self.accept_after_space(",")
        elif self.text[self.at : self.at + 1] in ("'", '"'):
            self.skip(_STRING)
        else:
            self.skip(_OTHER)

    def accept_after_space(self, mark: str) -> bool:
        self.skip(_SPACE_AND_LINES)
        return self.accept(mark)


def _unquoted(key: str) -> str:
    if key.startswith("'"):
        return key[1:-1]
    if key.startswith('"'):
        return str(tomllib.loads(f"key = {key}")["key"])
    return key
