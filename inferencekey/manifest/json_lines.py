"""The line of every value of a JSON text, which :mod:`json` does not tell. The text is known to be JSON."""

from __future__ import annotations

import json
import re
from typing import Final

from inferencekey.manifest.lines import LineNumbers

__all__ = ["json_lines"]

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],]|[^\s{}\[\],:"]+')


def json_lines(text: str) -> tuple[dict[tuple[str | int, ...], int], list[tuple[int, str]]]:
    """Return the line of each value by the way to it, and the keys that stand twice in a mapping, with their lines."""
    numbers = LineNumbers(text)
    lines: dict[tuple[str | int, ...], int] = {}
    twice: list[tuple[int, str]] = []
    # Inside which mappings and lists the scan is: the last key of a mapping (None: one comes next), the index of a list.
    inside: list[str | int | None] = []
    for token in _TOKEN.finditer(text):
        word, line = token[0], numbers.at(token.start())
        if word in "}]":
            inside.pop()
        elif word == ",":
            last = inside[-1]
            inside[-1] = last + 1 if isinstance(last, int) else None
        elif inside and inside[-1] is None:
            inside[-1] = str(json.loads(word))
            keys = tuple(key for key in inside if key is not None)
            if keys in lines:
                twice.append((line, str(keys[-1])))
            lines[keys] = line
        else:
            lines.setdefault(tuple(key for key in inside if key is not None), line)
            if word in "{[":
                inside.append(None if word == "{" else 0)
    return lines, twice
