"""A number is the total of a unary call, and the limit on each wait of a stream."""

from __future__ import annotations

from typing import Any

import pytest

from inferencekey._core.deadlines import for_stream, for_unary
from inferencekey.errors import ValidationError
from inferencekey.models import Timeouts

OWN = Timeouts(connect=1, first_byte=2, read=3, total=4, keepalive=5)


@pytest.mark.parametrize(
    ("call", "client", "deadlines"),
    [
        (None, None, Timeouts()),
        (None, 30, Timeouts(first_byte=30, read=30, total=30)),
        (None, OWN, OWN),
        (2.5, OWN, Timeouts(first_byte=2.5, read=2.5, total=2.5)),
        (OWN, 30, OWN),
    ],
)
def test_unary(call: Any, client: Any, deadlines: Timeouts) -> None:
    assert for_unary(call, client) == deadlines


@pytest.mark.parametrize(
    ("call", "client", "deadlines"),
    [
        (None, None, Timeouts(total=None)),
        (None, 30, Timeouts(connect=30, first_byte=30, read=30, keepalive=30, total=None)),
        (None, OWN, Timeouts(connect=1, first_byte=2, read=3, keepalive=5, total=None)),
        (2.5, OWN, Timeouts(connect=2.5, first_byte=2.5, read=2.5, keepalive=2.5, total=None)),
        (OWN, 30, Timeouts(connect=1, first_byte=2, read=3, keepalive=5, total=None)),
    ],
)
def test_a_stream_has_no_total(call: Any, client: Any, deadlines: Timeouts) -> None:
    assert for_stream(call, client) == deadlines


@pytest.mark.parametrize("value", [0, -1, float("nan"), True, "30", [30]])
def test_wrong_timeouts(value: Any) -> None:
    for decide in (for_unary, for_stream):
        for given in ((value, None), (None, value)):
            with pytest.raises(ValidationError) as caught:
                decide(*given)
            assert str(caught.value) == (
                "validation error: timeout must be a number of seconds above 0, or a "
                f"Timeouts; got {value!r}"
            )
