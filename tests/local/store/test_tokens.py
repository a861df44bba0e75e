"""How tokens are made and recognised."""

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
def test_a_minted_token_has_the_contracts_shape(kind: str) -> None:
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


def test_a_digest_matches_its_own_token_only() -> None:
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
def test_other_texts_are_no_tokens(text: str) -> None:
    assert token_id(text) is None


@given(st.text())
def test_no_text_breaks_the_recognition(text: str) -> None:
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
def test_grants_are_kept_in_canonical_form(grants: list[str], kept: tuple[str, ...]) -> None:
    assert checked_grants(grants) == kept


@pytest.mark.parametrize(
    "grant", ["acme", "acme/", "/bot", "acme/a/b", "*/*", "acme/---", "", "a b/c", "../x", "a%2f/b"]
)
def test_other_texts_are_no_grants(grant: str) -> None:
    with pytest.raises(ValidationError, match="validation error: "):
        checked_grants([grant])


def test_a_data_key_needs_a_grant() -> None:
    with pytest.raises(ValidationError, match="needs a grant"):
        checked_grants([])


def test_scopes_are_the_contracts() -> None:
    assert checked_scopes(["workload:read", "workload:read"]) == ("workload:read",)
    for wrong in ([], ["workload:delete"], ["*"]):
        with pytest.raises(ValidationError, match="scope"):
            checked_scopes(wrong)
