"""How tokens are created, recognised and checked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey.config import redact_token, token_kind
from inferencekey.errors import ValidationError
from inferencekey.local.records import MintedToken
from inferencekey.local.store.tokens import (
    checked_grants,
    checked_scopes,
    digest,
    matches,
    mint,
    token_id,
)


@pytest.mark.parametrize("kind", ["sdk", "live"])
def test_a_new_token_has_the_format_of_the_contract(kind: str) -> None:
    minted = mint(kind)  # type: ignore[arg-type]
    prefix, kind_, name, secret = minted.text.split("_")
    assert (prefix, kind_, len(name), len(secret)) == ("ik", kind, 8, 64)
    assert set(name + secret) <= set("0123456789abcdef")
    assert token_kind(minted.text) == kind
    assert token_id(minted.text) == minted.id == name
    assert redact_token(minted.text) == f"ik_{kind}_{name}…"


def test_the_secret_is_not_in_the_repr() -> None:
    minted = mint("live")
    assert minted.text not in repr(minted)
    assert repr(MintedToken("secret", "id")) == "MintedToken(id='id')"


def test_a_digest_matches_only_its_own_token() -> None:
    one, other = mint("sdk"), mint("sdk")
    assert matches(one.text, digest(one.text))
    assert not matches(other.text, digest(one.text))
    assert one.text.encode() not in digest(one.text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ik_sdk_",
        "ik_sdk_0123456g_" + "0" * 64,
        "ik_other_01234567_" + "0" * 64,
        "ik_sdk_01234567_" + "0" * 63,
    ]
    + ["ik_sdk_01234567_" + "0" * 64 + end for end in ("0", "\n", " ", "_")],
)
def test_does_not_recognise_other_texts_as_tokens(text: str) -> None:
    assert token_id(text) is None


@given(st.text())
def test_any_text_can_be_checked_for_a_token(text: str) -> None:
    assert token_id(text) is None


@pytest.mark.parametrize(
    ("grants", "kept"),
    [
        (["acme/support-bot"], ("acme/support-bot",)),
        (["acme/Support Bot"], ("acme/support-bot",)),
        (["acme/*", "other/x", "acme/*"], ("acme/*", "other/x")),
        ([" acme / * "], ("acme/*",)),
    ],
)
def test_converts_grants_to_canonical_form(grants: list[str], kept: tuple[str, ...]) -> None:
    assert checked_grants(grants) == kept


@pytest.mark.parametrize(
    "grant", ["acme", "acme/", "/bot", "acme/a/b", "*/*", "acme/---", "", "a b/c", "../x", "a%2f/b"]
)
def test_rejects_texts_that_are_not_grants(grant: str) -> None:
    with pytest.raises(ValidationError, match="validation error: "):
        checked_grants([grant])


def test_a_data_key_needs_a_grant() -> None:
    with pytest.raises(ValidationError, match="needs a grant"):
        checked_grants([])


def test_accepts_only_the_scopes_of_the_contract() -> None:
    assert checked_scopes(["workload:read", "workload:read"]) == ("workload:read",)
    for wrong in ([], ["workload:delete"], ["*"]):
        with pytest.raises(ValidationError, match="scope"):
            checked_scopes(wrong)
