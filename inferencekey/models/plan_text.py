"""A plan as text: the changes key by key, flag by flag, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Final, Literal, cast

import attrs

from inferencekey.credentials import hide_tokens
from inferencekey.printable import printable

__all__ = ["PlanLine", "change_lines", "clean_text", "same"]

Sign = Literal["+", "-", "~", "=", " "]

INDENT: Final = "    "

CONTEXT: Final = 2
"""How many unchanged lines are shown around a changed one."""

_FLAG = re.compile(r"\s+(?=--?[A-Za-z])")


@attrs.frozen
class PlanLine:
    """One line of a printed plan.

    Args:
        sign: ``+`` for new, ``-`` for removed, ``~`` for changed (the next lines show how), ``=``
            for no change, a space for a line in between.
        text: the rest of the line, indented.
    """

    sign: Sign
    text: str

    def __str__(self) -> str:
        return f"{self.sign} {self.text}".rstrip()


def same(one: Any, other: Any) -> bool:
    """Compare JSON values. ``True`` and ``1``, which are equal in Python, are not equal here."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        a, b = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(one, list) and isinstance(other, list):
        c, d = cast("list[Any]", one), cast("list[Any]", other)
        return len(c) == len(d) and all(map(same, c, d))
    return bool(one == other)


def change_lines(path: str, before: Any, after: Any, indent: str = INDENT) -> Iterator[PlanLine]:
    """Yield the lines of one change. A *before* of ``None`` means that there was no value."""
    if isinstance(after, Mapping) and after and (before is None or isinstance(before, Mapping)):
        yield from _mapping(
            path, cast("Mapping[str, Any]", before or {}), cast("Mapping[str, Any]", after), indent
        )
    elif before is None:
        yield from _new(path, after, indent)
    elif same(before, after):
        yield PlanLine(" ", f"{indent}{path}: {_shown(after)} (unchanged, sent again)")
    else:
        yield PlanLine("~", f"{indent}{path}:")
        yield from _text(before, after, indent + INDENT)


def _mapping(
    path: str, old: Mapping[str, Any], new: Mapping[str, Any], indent: str
) -> Iterator[PlanLine]:
    changed = [key for key, value in new.items() if key not in old or not same(old[key], value)]
    gone = [key for key in old if key not in new]
    for key in changed:
        yield from change_lines(f"{path}.{clean_text(key)}", old.get(key), new[key], indent)
    for key in gone:
        yield PlanLine("-", f"{indent}{path}.{clean_text(key)}: {_shown(old[key])}")
    if not changed and not gone:
        yield PlanLine(" ", f"{indent}{path}: {_shown(new)} (unchanged, sent again)")


def _new(path: str, after: Any, indent: str) -> Iterator[PlanLine]:
    if isinstance(after, str) and "\n" in after:
        yield PlanLine("+", f"{indent}{path}:")
        for line in after.splitlines():
            yield PlanLine("+", f"{indent}{INDENT}{clean_text(line)}")
    else:
        yield PlanLine("+", f"{indent}{path}: {_shown(after)}")


def _text(before: Any, after: Any, indent: str) -> Iterator[PlanLine]:
    """Yield the differing parts of two values, or both values if they have no parts."""
    old, new = _parts(before, after)
    if old == new:  # there are no parts, or the values differ in spaces only
        yield PlanLine("-", indent + _shown(before))
        yield PlanLine("+", indent + _shown(after))
        return
    end = 0
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(CONTEXT):
        if group[0][1] > end:
            yield PlanLine(" ", indent + "…")
        for kind, a, b, c, d in group:
            if kind == "equal":
                yield from (PlanLine(" ", indent + clean_text(part)) for part in old[a:b])
            else:
                yield from (PlanLine("-", indent + clean_text(part)) for part in old[a:b])
                yield from (PlanLine("+", indent + clean_text(part)) for part in new[c:d])
        end = group[-1][2]
    if end < len(old):
        yield PlanLine(" ", indent + "…")


def _parts(before: Any, after: Any) -> tuple[Sequence[str], Sequence[str]]:
    """Return the parts to compare: lines, flags of a command, or items of a list."""
    if isinstance(before, str) and isinstance(after, str):
        if "\n" in before or "\n" in after:
            return before.splitlines(), after.splitlines()
        old, new = _FLAG.split(before), _FLAG.split(after)
        if len(old) > 1 and len(new) > 1:
            return old, new
    elif isinstance(before, list) and isinstance(after, list):
        items, others = cast("list[Any]", before), cast("list[Any]", after)
        if len(items) + len(others) > 4:
            return [repr(item) for item in items], [repr(item) for item in others]
    return (), ()


def _shown(value: Any) -> str:
    # A workload may carry a credential that another tool has stored: it is sent, never shown.
    return hide_tokens(repr(value))


def clean_text(text: str) -> str:
    """Return a part of a plan as it may be printed: one line, and no part of a token."""
    # Hidden before and after: a character that is escaped could cut a token in two.
    return hide_tokens(printable(hide_tokens(text)))
