"""The values of a file with the environment's variables in place, and nothing in them that JSON does not have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import attrs

from inferencekey.manifest.problems import ManifestProblem
from inferencekey.manifest.source import Keys, Source
from inferencekey.manifest.variables import expanded

__all__ = ["expanded_source"]


def expanded_source(
    source: Source, environ: Mapping[str, str]
) -> tuple[Source, list[ManifestProblem]]:
    """Return the file with ``${VAR}`` in place in every text, and what is wrong with its single values."""
    walk = _Walk(source, environ)
    values = walk.value(source.values, ())
    return attrs.evolve(source, values=values, spoiled=frozenset(walk.spoiled)), walk.problems


class _Walk:
    def __init__(self, source: Source, environ: Mapping[str, str]) -> None:
        self.source = source
        self.environ = environ
        self.problems: list[ManifestProblem] = []
        self.spoiled: set[Keys] = set()

    def value(self, value: Any, keys: Keys) -> Any:
        if isinstance(value, dict):
            values = cast("dict[str, Any]", value)
            return {key: self.value(inner, (*keys, key)) for key, inner in values.items()}
        if isinstance(value, list):
            return [
                self.value(inner, (*keys, index))
                for index, inner in enumerate(cast("list[Any]", value))
            ]
        if isinstance(value, str) and keys != ("$schema",):
            return self.text(value, keys)
        if isinstance(value, float) and not math.isfinite(value):
            self.say(keys, f"{_field(keys)} must be a finite number; got {value}")
        elif not isinstance(value, (str, int, float, type(None))):
            self.say(
                keys,
                f"{_field(keys)} must be a string; got a {type(value).__name__}; write it in quotes",
            )
        return value

    def text(self, text: str, keys: Keys) -> str:
        result, wrong = expanded(text, self.environ, command=keys[-1:] == ("command",))
        for message in wrong:
            self.say(keys, f"{_field(keys)}: {message}")
        return result

    def say(self, keys: Keys, message: str) -> None:
        self.spoiled.add(keys)
        self.problems.append(self.source.problem(keys, message))


def _field(keys: Keys) -> str:
    """Return the name of a value as the problems of specs have it: the field, and the keys inside."""
    inside = (
        keys[2:] if keys[:1] == ("workloads",) else keys[1:] if keys[:1] == ("defaults",) else keys
    )
    return ".".join(map(str, inside or keys)) or "the manifest"
