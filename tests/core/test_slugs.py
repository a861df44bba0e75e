"""Slugs, and the names that can be part of a path."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey._core.slugs import canonical_slug, checked_project, checked_slug
from inferencekey.errors import ValidationError


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("support-bot", "support-bot"),
        ("Support Bot", "support-bot"),
        ("Gemma 4 26B (llama.cpp / GGUF) on R9700", "gemma-4-26b-llama-cpp-gguf-on-r9700"),
        ("  Mixed_Case--Slug  ", "mixed-case-slug"),
        ("---", ""),
        ("", ""),
        ("a", "a"),
        ("-a-", "a"),
        ("ñandú", "and"),
        ("日本", ""),
        ("\u212a", ""),  # the Kelvin sign lowers to an ASCII k, but is no ASCII letter
        ("١٢", ""),
        ("a\n../b%2F", "a-b-2f"),
    ],
)
def test_the_contracts_slugs(text: str, slug: str) -> None:
    assert canonical_slug(text) == slug


@given(st.text(max_size=30))
def test_a_canonical_slug_stays_as_it_is(text: str) -> None:
    slug = canonical_slug(text)
    assert canonical_slug(slug) == slug
    assert re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*)?", slug)
    assert slug.replace("-", "") == re.sub("[^A-Za-z0-9]", "", text).lower()


def test_a_checked_slug_is_canonical() -> None:
    assert checked_slug("  Mixed_Case--Slug  ") == "mixed-case-slug"


@pytest.mark.parametrize("text", ["", "---", " ", "日本"])
def test_rejects_a_slug_that_has_no_canonical_form(text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        checked_slug(text, "workload")
    wrong = (
        "must not be empty"
        if not text.strip()
        else f"must contain a letter (a to z) or a digit; got {text!r}"
    )
    assert str(caught.value) == f"validation error: workload {wrong}"


@pytest.mark.parametrize("value", [None, 5, b"bot", ["bot"]])
def test_rejects_a_value_that_is_not_a_string(value: Any) -> None:
    name = type(value).__name__
    with pytest.raises(
        ValidationError, match=f"^validation error: slug must be a string; got {name}$"
    ):
        checked_slug(value)
    with pytest.raises(
        ValidationError, match=f"^validation error: project must be a string; got {name}$"
    ):
        checked_project(value)


@pytest.mark.parametrize("project", ["acme", "Acme_2", "a.b", "ñ", "a-b:c@d"])
def test_accepts_projects(project: str) -> None:
    assert checked_project(project) == project


@pytest.mark.parametrize(
    "project",
    [
        "a/b",
        "a\\b",
        "..",
        "a..b",
        ".",
        "%2e",
        "a%2Fb",
        "a?b",
        "a#b",
        "a b",
        "a\tb",
        "a\nb",
        "a\0",
        "a\x7f",
        "a\x85b",
        "a\u2028b",
    ],
)
def test_rejects_projects_that_cannot_be_part_of_a_path(project: str) -> None:
    with pytest.raises(ValidationError) as caught:
        checked_project(project)
    assert str(caught.value) == (
        "validation error: project must be a slug such as 'acme', without '/', '..', '%' or "
        f"spaces; got {project!r}"
    )


@pytest.mark.parametrize("project", ["", "  ", "\n"])
def test_a_blank_project(project: str) -> None:
    with pytest.raises(ValidationError, match=r"^validation error: project must not be empty$"):
        checked_project(project)


def test_a_token_given_as_the_project_is_not_shown() -> None:
    with pytest.raises(ValidationError) as caught:
        checked_project("ik_sdk_proj1234_" + "5ec2e7" * 10 + "/x")
    assert str(caught.value).endswith("got 'ik_sdk_proj1234…/x'") or "5ec2e7" not in str(
        caught.value
    )
    assert "5ec2e7" not in str(caught.value)


@pytest.mark.parametrize("check", [checked_slug, checked_project])
def test_half_a_character_is_refused(check: Callable[[str], str]) -> None:
    with pytest.raises(ValidationError, match="must not contain invalid Unicode"):
        check("a\ud83d")
