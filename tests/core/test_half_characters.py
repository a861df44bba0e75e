"""Halves of characters are joined where they can be, and otherwise become U+FFFD."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey._core.half_characters import joined, without_halves
from inferencekey.models.half_characters import half_character
from inferencekey.printable import surrogate_in


def in_parts(parts: list[str]) -> str:
    """Join as a stream does: the half that a part leaves goes before the next."""
    whole, held = "", ""
    for part in parts:
        text, held = joined(held + part, final=False)
        assert not surrogate_in(text)
        whole += text
    return whole + joined(held)[0]


def halves_of(text: str) -> list[str]:
    """Every character outside of the first plane as its two surrogates."""
    units = text.encode("utf-16-le")
    return [
        units[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(units), 2)
    ]


def bytes_of(text: str) -> list[str]:
    return [bytes([byte]).decode("utf-8", "surrogateescape") for byte in text.encode()]


@pytest.mark.parametrize("cut", [halves_of, bytes_of])
@given(st.text(max_size=12), st.lists(st.integers(0, 40), max_size=4))
def test_every_text_survives_every_cut(cut: Any, text: str, places: list[int]) -> None:
    units = cut(text)
    ends = sorted({min(place, len(units)) for place in places} | {len(units)})
    parts = ["".join(units[begin:end]) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
    assert in_parts(parts) == text
    assert joined("".join(units)) == (text, "")


@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=5), max_size=5))
def test_nothing_is_left_that_cannot_be_sent(parts: list[str]) -> None:
    assert not surrogate_in(in_parts(parts))


@pytest.mark.parametrize(
    ("text", "whole", "shown", "held"),
    [
        ("a\ud83d", "a\ufffd", "a", "\ud83d"),
        ("\ude00a", "\ufffda", "\ufffda", ""),
        ("\ud83d\ud83d\ude00", "\ufffd\U0001f600", "\ufffd\U0001f600", ""),
        ("a\udcf0\udc9f", "a\ufffd", "a", "\udcf0\udc9f"),
        ("\udcf0\udc9fa", "\ufffda", "\ufffda", ""),
        ("\udcff", "\ufffd", "\ufffd", ""),
        ("\udcf0\ud83d", "\ufffd\ufffd", "\ufffd", "\ud83d"),
    ],
)
def test_halves_that_stay_alone(text: str, whole: str, shown: str, held: str) -> None:
    assert joined(text) == (whole, "")
    assert joined(text, final=False) == (shown, held)


def test_values() -> None:
    value = {"a\ud800": ["\ude00", 1, None, {"b": "\ud83d\ude00"}]}
    assert without_halves(value) == {"a\ufffd": ["\ufffd", 1, None, {"b": "\U0001f600"}]}
    assert half_character(value) == r"the key a\ud800"
    assert half_character({"a": [1, b"x", ("é", "\ud800")]}) == "a[2][1]"
    assert half_character({"a": {"\ud800": 1}}) == r"a key of a (\ud800)"
    assert half_character({"a": [1.0, "é"], 5: "b"}) is None
