"""Bytes to JSON values and back."""

from __future__ import annotations

import math
from collections import UserList
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from types import MappingProxyType
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey._core.json import (
    as_integer,
    as_mapping,
    as_string,
    dumps,
    loads,
    plain,
    preview,
)
from inferencekey.errors import ResponseFormatError, ValidationError
from inferencekey.models import Backend


class Colour(str, Enum):  # noqa: UP042 (a user's enum, as they used to be written)
    RED = "red"


def test_loads() -> None:
    assert loads(b' {"a": [1, null]} ', "x") == {"a": [1, None]}


@pytest.mark.parametrize(
    "sent", [b"", b"{", b"NaNa", b"\xff", b"[" * 100_000, b"<html>", b"{'a': 1}"]
)
def test_rejects_bytes_that_are_not_json_and_shows_their_beginning(sent: bytes) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        loads(sent, "the answer", "r-1")
    assert str(caught.value).startswith("unexpected response: the answer is not JSON (")
    shown = repr(sent.decode("utf-8", "replace")[:120]) + ("…" if len(sent) > 120 else "")
    assert str(caught.value).endswith(shown)
    assert caught.value.request_id == "r-1"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ({"a": "ñ"}, '{"a":"ñ"}'.encode()),
        ({2: 2, None: 3, True: 4}, b'{"2":2,"null":3,"true":4}'),
        ((1, 2), b"[1,2]"),
        (MappingProxyType({"a": MappingProxyType({})}), b'{"a":{}}'),
        (UserList([1, MappingProxyType({})]), b"[1,{}]"),
        (Backend.VLLM, b'"vllm"'),
        ({Colour.RED: Colour.RED}, b'{"red":"red"}'),
        (datetime(2026, 11, 21, tzinfo=UTC), b'"2026-11-21T00:00:00+00:00"'),
    ],
)
def test_dumps_accepts_what_json_has(value: Any, sent: bytes) -> None:
    assert dumps(value) == sent


def endless() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    "make",
    [
        set,
        bytes,
        bytearray,
        object,
        endless,
        lambda: memoryview(b"a"),
        lambda: 2**70,
    ],
)
def test_dumps_rejects_what_json_does_not_have(make: Callable[[], Any]) -> None:
    with pytest.raises(
        ValidationError, match=r"^validation error: the spec cannot be sent as JSON: "
    ):
        dumps({"a": make()}, "the spec")


def test_plain_returns_what_the_server_will_return() -> None:
    value = {"a": (Colour.RED, Backend.VLLM), 1: MappingProxyType({"b": None})}
    found = plain(value, "config")
    assert found == {"a": ["red", "vllm"], "1": {"b": None}}
    assert type(found["a"][0]) is str
    assert plain(None, "config") is None


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (float("nan"), "config"),
        ({"a": [None, {"b": float("inf")}]}, "config.a.1.b"),
        ({"a": (None, -math.inf)}, "config.a.1"),
        ({1: numpy.array([1.0, numpy.nan])}, "config.1.1"),
        ({"a": numpy.float32("inf")}, "config.a"),
    ],
)
def test_rejects_a_number_that_json_does_not_have(value: Any, where: str) -> None:
    with pytest.raises(
        ValidationError,
        match=rf"^validation error: {where} must be a finite number; got (nan|-?inf)$",
    ):
        plain(value, "config")


def test_null_is_null() -> None:
    value = {
        "a": None,
        "b": ["null", 1.5, numpy.float32(1)],
        "c": Colour.RED,
        "d": numpy.array([1]),
    }
    assert plain(value, "config") == {
        "a": None,
        "b": ["null", 1.5, 1.0],
        "c": "red",
        "d": [1],
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=5,
)


@given(JSON)
def test_json_values_are_plain_already(value: object) -> None:
    assert plain(value, "x") == value


@pytest.mark.parametrize(
    ("value", "found"), [({}, True), ({"a": 1}, True), ([], False), ("{}", False), (None, False)]
)
def test_as_mapping(value: Any, found: bool) -> None:
    assert as_mapping(value) == (value if found else None)


@pytest.mark.parametrize(
    ("value", "found"), [("a", "a"), ("", ""), (None, None), (5, None), (["a"], None)]
)
def test_as_string(value: Any, found: str | None) -> None:
    assert as_string(value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (3, 3),
        (0, 0),
        (-1, -1),
        (3.0, 3),
        (3.5, None),
        (True, None),
        ("3", None),
        (None, None),
        (float("inf"), None),
    ],
)
def test_as_integer(value: Any, found: int | None) -> None:
    assert as_integer(value) == found


def test_preview_has_a_limit_and_shows_no_token() -> None:
    assert preview(b"abc") == "'abc'"
    assert preview(b"x" * 120) == repr("x" * 120)
    assert preview(b"x" * 121) == repr("x" * 120) + "…"
    assert preview(b"\xff\n", 5) == repr("�\n")
    assert preview(b"key ik_live_proj1234_" + b"5ec2e7" * 99) == "'key ik_live_proj1234…'…"


@pytest.mark.parametrize(
    ("value", "what", "where"),
    [
        ({"messages": [{"content": "a\ud83d"}]}, "the body", "messages[0].content"),
        ({"a": ("x", ["\udc80"])}, "the spec", "a[1][0]"),
        ({"env": {"A\ud800": 1}}, "config", r"a key of config.env (A\ud800)"),
        ({"\udfff": 1}, "the body", r"the key \udfff"),
        ("\ud800", "description", "description"),
        ("\ud800", "the body", "the body"),
    ],
)
def test_half_a_character_is_refused_by_its_path(value: Any, what: str, where: str) -> None:
    with pytest.raises(ValidationError) as caught:
        dumps(value, what)
    assert str(caught.value) == (
        f"validation error: {where} must not contain invalid Unicode (a lone surrogate)"
    )
