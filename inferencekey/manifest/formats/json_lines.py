"""The line of every value of a JSON text, which :mod:`json` does not report.

The text is known to be JSON: :mod:`json` has read it.
"""

from __future__ import annotations

import json
import re
from typing import Final

from inferencekey.manifest.formats.lines import LineNumbers

__all__ = ["json_lines"]

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],]|[^\s{}\[\],:"]+')


def json_lines(text: str) -> tuple[dict[tuple[str | int, ...], int], list[tuple[int, str]]]:
    """Find the line of each value by its path.

    Returns:
        The lines, and the keys that a mapping has twice, with their lines.
    """
    numbers = LineNumbers(text)
    lines: dict[tuple[str | int, ...], int] = {}
    duplicates: list[tuple[int, str]] = []
    # One item for each mapping and list around the token: the last key of a mapping (None: a key
    # comes next), or the index in a list.
    path: list[str | int | None] = []
    for token in _TOKEN.finditer(text):
        word, line = token[0], numbers.at(token.start())
        if word in "}]":
            path.pop()
        elif word == ",":
            last = path[-1]
            path[-1] = last + 1 if isinstance(last, int) else None
        elif path and path[-1] is None:
            path[-1] = str(json.loads(word))
            keys = tuple(key for key in path if key is not None)
            if keys in lines:
                duplicates.append((line, str(keys[-1])))
            lines[keys] = line
        else:
            lines.setdefault(tuple(key for key in path if key is not None), line)
            if word == "{":
                path.append(None)
            elif word == "[":
                path.append(0)
    return lines, duplicates
