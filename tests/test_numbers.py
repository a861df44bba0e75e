"""Integers and numbers, as arguments and settings take them."""

from __future__ import annotations

import pytest

from inferencekey.errors import ValidationError
from inferencekey.models.numbers import (
    checked_integer,
    integer_problem,
    is_integer,
    is_number,
    number_problem,
)


@pytest.mark.parametrize("value", [0, -1, 2**70])
def test_accepts_an_integer(value: int) -> None:
    assert is_integer(value)
    assert is_number(value)
    assert integer_problem(value) is None
    assert number_problem(value) is None
    assert checked_integer(value, "seed") == value


@pytest.mark.parametrize("value", [True, False, 1.0, "1", None, [1]])
def test_rejects_a_value_that_is_not_an_integer(value: object) -> None:
    assert not is_integer(value)
    assert integer_problem(value) == f"must be an integer; got {value!r}"
    with pytest.raises(ValidationError, match=r"^validation error: seed must be an integer; got "):
        checked_integer(value, "seed")


@pytest.mark.parametrize("value", [True, "1", None, 1j])
def test_rejects_a_value_that_is_not_a_number(value: object) -> None:
    assert not is_number(value)
    assert number_problem(value) == f"must be a number; got {value!r}"


@pytest.mark.parametrize(
    ("value", "at_least", "at_most", "problem"),
    [
        (1, 1, None, None),
        (0, 1, None, "must be an integer of at least 1; got 0"),
        (5, None, 5, None),
        (6, None, 5, "must be an integer of at most 5; got 6"),
        (2**31, 1, 2**31 - 1, "must be an integer from 1 to 2147483647; got 2147483648"),
        ("x", 1, 5, "must be an integer from 1 to 5; got 'x'"),
    ],
)
def test_integer_bounds(
    value: object, at_least: int | None, at_most: int | None, problem: str | None
) -> None:
    assert integer_problem(value, at_least=at_least, at_most=at_most) == problem


@pytest.mark.parametrize(
    ("value", "at_least", "at_most", "problem"),
    [
        (0.5, 0, 1, None),
        (1.5, 0, 1, "must be a number from 0 to 1; got 1.5"),
        (-0.1, 0, None, "must be a number of at least 0; got -0.1"),
        (3, None, 2, "must be a number of at most 2; got 3"),
        (float("nan"), 0, None, "must be a finite number of at least 0; got nan"),
        (float("inf"), 0, None, "must be a finite number of at least 0; got inf"),
        (float("inf"), 0, 2, "must be a finite number from 0 to 2; got inf"),
    ],
)
def test_number_bounds(
    value: object, at_least: float | None, at_most: float | None, problem: str | None
) -> None:
    assert number_problem(value, at_least=at_least, at_most=at_most) == problem
