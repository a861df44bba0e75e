"""A manifest file: its values, and the line of each."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from inferencekey.manifest.formats.json_lines import json_lines
from inferencekey.manifest.formats.toml_lines import toml_lines
from inferencekey.manifest.problems import ManifestProblem

__all__ = ["SUFFIXES", "Keys", "Source", "read_source"]

SUFFIXES: Final = (".toml", ".yaml", ".yml", ".json")

Keys = tuple[str | int, ...]
"""The path of a value: keys of mappings and indices of lists."""


@attrs.frozen
class Source:
    """One file.

    Args:
        path: the file.
        values: its content as JSON has it: dicts, lists, strings, numbers, booleans, ``None``.
        lines: the line of each value by its path; of a value in a mapping, the line of its key.
        problematic: the values whose problems are reported already.
    """

    path: Path
    values: Any
    lines: Mapping[Keys, int]
    problematic: frozenset[Keys] = frozenset()

    def line(self, keys: Keys) -> int:
        """Return the line of a value, or of the nearest around it that has one."""
        paths = (keys[:length] for length in range(len(keys), -1, -1))
        return next(self.lines[path] for path in paths if path in self.lines)

    def problem(self, keys: Keys, message: str) -> ManifestProblem:
        """Return a problem at a value."""
        return ManifestProblem(self.path, self.line(keys), message)


def read_source(path: Path) -> Source | list[ManifestProblem]:
    """Read one file; return its problems if it cannot be parsed.

    Raises:
        ConfigurationError: it is YAML, and the library for it is not installed.
        RecursionError: it is nested too deeply.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        return [ManifestProblem(path, None, f"cannot be read: {error.strerror or error}")]
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return [ManifestProblem(path, line, "is not UTF-8 text")]
    if path.suffix == ".toml":
        return _toml(path, text)
    if path.suffix == ".json":
        return _json(path, text)
    from inferencekey.manifest.formats.yaml_format import yaml_source

    values, lines, mistakes = yaml_source(text)
    if mistakes:
        return [ManifestProblem(path, line, message) for line, message in mistakes]
    return Source(path, values, lines)


def _toml(path: Path, text: str) -> Source | list[ManifestProblem]:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, line = _split_place(str(error), text)
        return [ManifestProblem(path, line, f"is not TOML: {message}")]
    except ValueError:
        return [ManifestProblem(path, None, "contains a number with too many digits")]
    return Source(path, values, toml_lines(text))


def _split_place(message: str, text: str) -> tuple[str, int]:
    """Split the place off a message of ``tomllib``: ``… (at line 3, column 5)``."""
    what, _, place = message.rpartition(" (at ")
    if place.startswith("line "):
        return what, int(place.removeprefix("line ").partition(",")[0])
    return what or message, text.rstrip("\n").count("\n") + 1  # "(at end of document)"


def _json(path: Path, text: str) -> Source | list[ManifestProblem]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        return [ManifestProblem(path, error.lineno, f"is not JSON: {error.msg}")]
    except ValueError:
        return [ManifestProblem(path, None, "contains a number with too many digits")]
    lines, duplicates = json_lines(text)
    if duplicates:
        return [
            ManifestProblem(path, line, f"the key {key!r} is set twice") for line, key in duplicates
        ]
    return Source(path, values, lines)
