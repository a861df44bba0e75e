"""Plain values as TOML, in the style in which people write it.

A mapping becomes a table, text of several lines a multi-line string, and the workloads of a
manifest an array of tables.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time
from typing import Any, Final, cast

from inferencekey.errors import ValidationError
from inferencekey.printable import INVALID_UNICODE, printable, surrogate_in

__all__ = ["escaped_controls", "toml_key", "toml_text"]

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_NOT_AS_IS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def toml_text(values: Mapping[str, Any], tables: Iterable[str] = ()) -> str:
    """Return a TOML document.

    Args:
        values: strings, numbers, booleans, dates, and lists and mappings of them.
        tables: the keys whose lists of mappings are written as ``[[key]]`` tables.

    Raises:
        ValidationError: a value cannot be written as TOML (``None``, bytes, a key that is not a
            string). The message names it.
    """
    return "\n".join(_Document(frozenset(tables)).table(values, ())).lstrip("\n") + "\n"


def toml_key(key: str) -> str:
    """Return a key, with quotes if it needs them.

    Raises:
        ValidationError: it has half a character.
    """
    if surrogate_in(key):
        raise _refused((key,), f"the key contains {INVALID_UNICODE}")
    return key if _BARE.fullmatch(key) else _basic(key)


class _Document:
    def __init__(self, tables: frozenset[str]) -> None:
        self.tables = tables

    def table(self, values: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
        """Yield the lines of a table: first its values, then its tables.

        A value after the header of an inner table would belong to that inner table.
        """
        inner: list[tuple[str, Any]] = []
        for key, value in values.items():
            if not isinstance(cast("object", key), str):
                raise _refused((*path, str(key)), f"the key {key!r} is not a string")
            if isinstance(cast("object", value), Mapping) or (not path and key in self.tables):
                inner.append((key, value))
            else:
                yield f"{toml_key(key)} = {_value(value, (*path, key))}"
        for key, value in inner:
            here = (*path, key)
            name = ".".join(map(toml_key, here))
            if isinstance(value, Mapping):
                lines = list(self.table(cast("Mapping[str, Any]", value), here))
                # A table that has only tables in it needs no header; its lines begin with a blank.
                if not lines or lines[0]:
                    yield from ("", f"[{name}]")
                yield from lines
            else:
                for entry in value:
                    yield from ("", f"[[{name}]]", *self.table(entry, here))


def _value(value: object, path: tuple[str, ...]) -> str:
    if isinstance(value, str):
        if surrogate_in(value):
            raise _refused(path, f"it contains {INVALID_UNICODE}")
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
            raise _refused((*path, str(key)), f"the key {key!r} is not a string")
        parts.append(f"{toml_key(key)} = {_value(inner, (*path, key))}")
    return "{ " + ", ".join(parts) + " }" if parts else "{}"


def _text(text: str) -> str:
    if "\n" not in text or _NOT_AS_IS.search(text):
        return _basic(text)
    if "'''" not in text and not text.endswith("'"):
        return f"'''\n{text}'''"
    return '"""\n' + text.replace("\\", "\\\\").replace('"', '\\"') + '"""'


def _basic(text: str) -> str:
    # TOML has the escapes of JSON, but DEL and the C1 controls need one as well.
    return escaped_controls(json.dumps(text, ensure_ascii=False))


def escaped_controls(text: str) -> str:
    """Return JSON or TOML with escapes for the control characters that JSON does not escape.

    Some terminals act on them.
    """
    return re.sub(r"[\x7f-\x9f]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _refused(path: tuple[str, ...], what: str) -> ValidationError:
    return ValidationError.of(f"{printable('.'.join(path))} cannot be written as TOML: {what}")
