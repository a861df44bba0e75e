"""Finding a known secret in a text that somebody else has written, however it is written there.

A server may echo a credential as it came, cut by a limit of its own, with the escapes of JSON, of
HTML or of a URL, several of them on top of each other, in another case, or inside base64 or hex.
The text is read as it is and with its escapes undone, and every piece of the secret that is long
enough to be one is found.
"""

from __future__ import annotations

import html
import re
from base64 import b64encode
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

__all__ = ["SHORTEST", "spans_of"]

SHORTEST: Final = 4
"""Shorter secrets are likely to be ordinary words, and hiding them would spoil the text."""

_GRAM: Final = 8
"""How many characters of a secret's beginning are a piece of it."""

_INNER: Final = 12
"""How many characters from any other place are one."""

_ROUNDS: Final = 3
"""How many escapes on top of each other are undone."""

_ESCAPE: Final = re.compile(
    r"""(?isx)
    (?: \\u | %u ) ([0-9a-f]{4})
    | \\u \{ 0* ([0-9a-f]{1,4}) \}
    | (?: \\x | % ) ([0-9a-f]{2})
    | &\#x 0* ([0-9a-f]{1,4}) ;?
    | &\#  0* ([0-9]{1,5}) ;?
    | \\ ([0-3][0-7]{2})
    | (&[a-z]{2,8};)
    | \\ ([^\s\0-\x1fux0-9])
    | [\0\r\n\u00ad\u200b-\u200d\u2060\ufeff]+
    """
)


class _Needle(NamedTuple):
    text: str
    public: int  # the length of the beginning that may be shown
    least: int  # how many characters of the beginning are a piece that is hidden


def spans_of(secret: str, text: str, public: int = 0) -> list[tuple[int, int]]:
    """Return where pieces of a secret are in a text, in order and without overlaps.

    Args:
        secret: the secret.
        text: the text.
        public: the length of the secret's beginning that may be shown.
    """
    if len(secret) < SHORTEST:
        return []
    grams = _grams(secret, public)
    found = [
        (starts[begin], ends[end - 1])
        for layer, starts, ends in _layers(text)
        for begin, end in _pieces(layer, grams)
    ]
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(found):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


@lru_cache(maxsize=16)
def _grams(secret: str, public: int) -> dict[int, dict[str, list[tuple[_Needle, int]]]]:
    """Return the short pieces of every form of a secret, by their length, and where they are."""
    secret = str(secret)  # a text that hides itself shows no part of it
    data = secret.encode("utf-8", "replace")
    needles = [_Needle(_lower(secret), public, public + 4 if public else _GRAM)]
    # What looks like an escape in the secret itself is undone in the text as well.
    undone = [layer for layer, _, _ in _layers(secret)][1:]
    needles += [_Needle(layer, 0, _GRAM) for layer in undone if len(layer) >= SHORTEST]
    if len(data) >= _GRAM:
        needles.append(_Needle(data.hex(), 0, 2 * _GRAM))
        for shift in range(3):
            # Of what stands before and after the secret, the first and last characters depend.
            coded = b64encode(b"\0" * shift + data).decode().rstrip("=")
            begin = (0, 2, 3)[shift]
            whole = coded[begin : len(coded) - (1 if (shift + len(data)) % 3 else 0)]
            for form in {whole, whole.replace("+", "-").replace("/", "_")}:
                needles.append(_Needle(_lower(form), 0, _INNER))
    grams: dict[int, dict[str, list[tuple[_Needle, int]]]] = {}
    for needle in needles:
        size = min(_GRAM, len(needle.text))
        table = grams.setdefault(size, {})
        for at in range(len(needle.text) - size + 1):
            table.setdefault(needle.text[at : at + size], []).append((needle, at))
    return grams


def _pieces(
    text: str, grams: dict[int, dict[str, list[tuple[_Needle, int]]]]
) -> Iterator[tuple[int, int]]:
    for size, table in grams.items():
        at = 0
        while at <= len(text) - size:
            longest = max(
                (
                    _matched(needle, offset, text, at)
                    for needle, offset in table.get(text[at : at + size], ())
                ),
                default=0,
            )
            if longest:
                yield at, at + longest
            at += longest or 1


def _matched(needle: _Needle, offset: int, text: str, at: int) -> int:
    """Return how many characters match from here on; 0 if they are too few to be a piece."""
    length = 0
    for one, other in zip(needle.text[offset:], text[at:], strict=False):
        if one != other:
            break
        length += 1
    end = offset + length
    secret = end - max(offset, needle.public)
    if length == len(needle.text) or (offset == 0 and end >= needle.least) or secret >= _INNER:
        return length
    return 0


def _layers(text: str) -> Iterator[tuple[str, list[int], list[int]]]:
    """Yield the text in lower case, then with its escapes undone, with where each character was."""
    starts, ends = list(range(len(text))), list(range(1, len(text) + 1))
    yield _lower(text), starts, ends
    for _ in range(_ROUNDS):
        characters: list[str] = []
        begins: list[int] = []
        stops: list[int] = []
        at = 0
        for escape in _ESCAPE.finditer(text):
            characters += text[at : escape.start()]
            begins += starts[at : escape.start()]
            stops += ends[at : escape.start()]
            undone = _undone(escape)
            characters += undone
            begins += [starts[escape.start()]] * len(undone)
            stops += [ends[escape.end() - 1]] * len(undone)
            at = escape.end()
        if at == 0:
            return
        characters += text[at:]
        text, starts, ends = "".join(characters), begins + starts[at:], stops + ends[at:]
        yield _lower(text), starts, ends


def _undone(escape: re.Match[str]) -> str:
    wide, braces, two, entity_hex, entity, octal, name, plain = escape.groups()
    if digits := wide or braces or two or entity_hex:
        return chr(int(digits, 16))
    if entity:
        return chr(int(entity))
    if octal:
        return chr(int(octal, 8))
    if name:
        return html.unescape(name)
    return plain or ""


def _lower(text: str) -> str:
    # Only ASCII: the lower case of other letters may be longer.
    return text.translate(_LOWER)


_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
