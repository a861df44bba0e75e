"""Plain values as TOML, the way a person would write it.

One table per mapping, texts of several lines as such, arrays of tables for the workloads of a manifest.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time
from typing import Any, Final, cast

from inferencekey.errors import ValidationError

__all__ = ["escaped_controls", "toml_key", "toml_text"]

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_NOT_AS_IS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


def toml_text(values: Mapping[str, Any], tables: Iterable[str] = ()) -> str:
    """Return a TOML document.

    Args:
        values: texts, numbers, booleans, dates, lists and mappings of them.
        tables: the keys whose list of mappings is written as ``[[key]]``, one table for each.

    Raises:
        ValidationError: a value cannot be written as TOML (``None``, bytes, a key that is no text); the message names it.
    """
    return "\n".join(_Document(frozenset(tables)).table(values, ())).lstrip("\n") + "\n"


def toml_key(key: str) -> str:
    """Return a key, quoted where it must be."""
    return key if _BARE.fullmatch(key) else _basic(key)


class _Document:
    def __init__(self, tables: frozenset[str]) -> None:
        self.tables = tables

    def table(self, values: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
        """Yield the lines of a table: first its own values, then the tables in it, which would swallow what follows."""
        inner: list[tuple[str, Any]] = []
        for key, value in values.items():
            if not isinstance(cast("object", key), str):
                raise _refused((*path, str(key)), f"the key {key!r}")
            if isinstance(cast("object", value), Mapping) or (not path and key in self.tables):
                inner.append((key, value))
            else:
                yield f"{toml_key(key)} = {_value(value, (*path, key))}"
        for key, value in inner:
            here = (*path, key)
            name = ".".join(map(toml_key, here))
            if isinstance(value, Mapping):
                lines = list(self.table(cast("Mapping[str, Any]", value), here))
                # A table of tables only needs no header of its own; its lines begin with a blank one.
                yield from lines if lines and not lines[0] else ("", f"[{name}]", *lines)
            else:
                for one in value:
                    yield from ("", f"[[{name}]]", *self.table(one, here))


def _value(value: object, path: tuple[str, ...]) -> str:
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise _refused(path, "a character that is no character (half of a surrogate pair)")
        return _text(str(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else str(float(value))
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return _inline(cast("Mapping[object, object]", value), path)
    if isinstance(value, (list, tuple)):
        items = cast("list[object]", value)
        return (
            "[" + ", ".join(_value(item, (*path, str(at))) for at, item in enumerate(items)) + "]"
        )
    raise _refused(path, "null" if value is None else f"a {type(value).__name__}")


def _inline(value: Mapping[object, object], path: tuple[str, ...]) -> str:
    parts: list[str] = []
    for key, inner in value.items():
        if not isinstance(key, str):
            raise _refused((*path, str(key)), f"the key {key!r}")
        parts.append(f"{toml_key(key)} = {_value(inner, (*path, key))}")
    return "{ " + ", ".join(parts) + " }" if parts else "{}"


def _text(text: str) -> str:
    if "\n" not in text or _NOT_AS_IS.search(text):
        return _basic(text)
    if "'''" not in text and not text.endswith("'"):
        return f"'''\n{text}'''"
    return '"""\n' + text.replace("\\", "\\\\").replace('"', '\\"') + '"""'


def _basic(text: str) -> str:
    # TOML's escapes are JSON's, with one more character that needs one.
    return escaped_controls(json.dumps(text, ensure_ascii=False))


def escaped_controls(text: str) -> str:
    """Return JSON or TOML with the control characters escaped that JSON leaves as they are; terminals obey some."""
    return re.sub(r"[\x7f-\x9f]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _refused(path: tuple[str, ...], what: str) -> ValidationError:
    return ValidationError.of(f"{'.'.join(path)} cannot be written as TOML: {what}")
