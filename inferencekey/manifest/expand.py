"""The values of a file with its variables replaced, and with nothing that JSON does not have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import attrs

from inferencekey.manifest.problems import ManifestProblem
from inferencekey.manifest.source import Keys, Source
from inferencekey.manifest.variables import expanded
from inferencekey.printable import INVALID_UNICODE, surrogate_in

__all__ = ["expanded_source"]


def expanded_source(
    source: Source, environ: Mapping[str, str]
) -> tuple[Source, list[ManifestProblem]]:
    """Replace ``${VAR}`` in every string of a file.

    Returns:
        The file, and what is wrong with its single values.
    """
    expansion = _Expansion(source, environ)
    values = expansion.value(source.values, ())
    result = attrs.evolve(source, values=values, problematic=frozenset(expansion.problematic))
    return result, expansion.problems


class _Expansion:
    def __init__(self, source: Source, environ: Mapping[str, str]) -> None:
        self.source = source
        self.environ = environ
        self.problems: list[ManifestProblem] = []
        self.problematic: set[Keys] = set()

    def value(self, value: Any, keys: Keys) -> Any:
        if isinstance(value, dict):
            values = cast("dict[str, Any]", value)
            for key in filter(surrogate_in, values):
                message = f"the key {_field((*keys, key))} contains {INVALID_UNICODE}"
                self.add_problem((*keys, key), message)
            # A wrong key is left out, so that it is not a second mistake of the mapping.
            return {
                key: self.value(inner, (*keys, key))
                for key, inner in values.items()
                if not surrogate_in(key)
            }
        if isinstance(value, list):
            items = enumerate(cast("list[Any]", value))
            return [self.value(inner, (*keys, index)) for index, inner in items]
        if isinstance(value, str) and surrogate_in(value):
            self.add_problem(keys, f"{_field(keys)} contains {INVALID_UNICODE}")
            return value.encode("utf-8", "replace").decode()  # or the mapping is wrong as well
        if isinstance(value, str) and keys != ("$schema",):
            return self.string(value, keys)
        if isinstance(value, float) and not math.isfinite(value):
            self.add_problem(keys, f"{_field(keys)} must be a finite number; got {value}")
        elif not isinstance(value, (str, int, float, type(None))):
            # TOML has dates and times, which JSON, and so a workload, does not have.
            kind = type(value).__name__
            message = f"{_field(keys)} must be a string; got a {kind}; write it in quotes"
            self.add_problem(keys, message)
        return value

    def string(self, text: str, keys: Keys) -> str:
        result, messages = expanded(text, self.environ, command=keys[-1:] == ("command",))
        for message in messages:
            self.add_problem(keys, f"{_field(keys)}: {message}")
        return result

    def add_problem(self, keys: Keys, message: str) -> None:
        self.problematic.add(keys)
        self.problems.append(self.source.problem(keys, message))


def _field(keys: Keys) -> str:
    """Return a value's name as the problems of specs have it: the field, and the keys inside."""
    inside = keys
    if keys[:1] == ("workloads",):
        inside = keys[2:]  # without the index
    elif keys[:1] == ("defaults",):
        inside = keys[1:]
    return ".".join(map(str, inside or keys)) or "the manifest"
