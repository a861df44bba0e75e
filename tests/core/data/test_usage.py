"""Token counts, as engines write them."""

from __future__ import annotations

from typing import Any

import pytest

from inferencekey._core.data.usage import usage_of
from inferencekey.models import Usage


@pytest.mark.parametrize(
    ("sent", "usage"),
    [
        ({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}, Usage(1, 2, 3)),
        ({"prompt_tokens": 1, "total_tokens": 1}, Usage(1, None, 1)),
        (
            {"prompt_tokens": 1.0, "completion_tokens": None, "total_tokens": "3"},
            Usage(1, None, None),
        ),
        ({"input_tokens": 1}, Usage()),
        ({"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0}}, Usage(1)),
        ({}, None),
        (None, None),
        ([], None),
        (5, None),
        ("3", None),
    ],
)
def test_usage(sent: Any, usage: Usage | None) -> None:
    assert usage_of(sent) == usage
