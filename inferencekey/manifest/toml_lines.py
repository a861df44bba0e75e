"""The line of every value of a TOML text, which :mod:`tomllib` does not tell.

The text is known to be TOML (``tomllib`` has read it), so that this has only to find the keys: it knows comments, the
four kinds of strings, lists, inline tables, dotted keys and headers, and takes everything else for a value's text.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final

from inferencekey.manifest.lines import LineNumbers

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
    """Return the line of each value by the way to it; of a table, the line that opens it."""
    return _Scan(text).run()


class _Scan:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.numbers = LineNumbers(text)
        self.lines: dict[Keys, int] = {(): 1}
        self.lengths: dict[Keys, int] = {}  # how many tables each array of tables has

    def run(self) -> dict[Keys, int]:
        table: Keys = ()
        while self.skip(_SPACE_AND_LINES) < len(self.text):
            if self.took("["):
                table = self.header(array=self.took("["))
            else:
                self.pair(table)
        return self.lines

    def skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def took(self, mark: str) -> bool:
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def note(self, keys: Keys, line: int) -> None:
        """Note a line; a table that is opened in several places is where it is first."""
        self.lines.setdefault(keys, line)

    def header(self, *, array: bool) -> Keys:
        line = self.numbers.at(self.at)
        table: Keys = ()
        names = self.dotted()
        for name in names[:-1]:
            table = self.last_of((*table, name))
            self.note(table, line)
        table = (*table, names[-1])
        if array:
            self.note(table, line)
            self.lengths[table] = self.lengths.get(table, 0) + 1
        table = self.last_of(table)
        # What was opened only on the way to another table is where its own header is.
        self.lines[table] = line
        self.took("]]" if array else "]")
        return table

    def last_of(self, table: Keys) -> Keys:
        return (*table, self.lengths[table] - 1) if table in self.lengths else table

    def pair(self, table: Keys) -> None:
        line = self.numbers.at(self.at)
        for name in self.dotted():
            table = (*table, name)
            self.note(table, line)
        self.took("=")
        self.skip(_SPACE)
        self.value(table)

    def dotted(self) -> list[str]:
        names: list[str] = []
        while not names or self.took("."):
            self.skip(_SPACE)
            start = self.at
            self.skip(_KEY)
            names.append(_unquoted(self.text[start : self.at]))
            self.skip(_SPACE)
        return names

    def value(self, keys: Keys) -> None:
        if self.took("["):
            index = 0
            while not self.took_after_space("]"):
                self.note((*keys, index), self.numbers.at(self.at))
                self.value((*keys, index))
                self.took_after_space(",")
                index += 1
        elif self.took("{"):
            while not self.took_after_space("}"):
                self.pair(keys)
                self.took_after_space(",")
        elif self.text[self.at : self.at + 1] in ("'", '"'):
            self.skip(_STRING)
        else:
            self.skip(_OTHER)

    def took_after_space(self, mark: str) -> bool:
        self.skip(_SPACE_AND_LINES)
        return self.took(mark)


def _unquoted(key: str) -> str:
    if key.startswith("'"):
        return key[1:-1]
    return str(tomllib.loads(f"key = {key}")["key"]) if key.startswith('"') else key
