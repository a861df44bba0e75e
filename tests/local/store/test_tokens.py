"""How tokens are made, and what they may do."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey.config import redact_token, token_kind
from inferencekey.errors import ValidationError
from inferencekey.local.http.authorisation import Need, authorise
from inferencekey.local.records import Minted, Token
from inferencekey.local.store.tokens import (
    DEFAULT_SCOPES,
    READERS,
    WRITERS,
    checked_grants,
    checked_scopes,
    digest,
    matches,
    mint,
    token_id,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def sdk(
    project: str = "acme", scopes: tuple[str, ...] = DEFAULT_SCOPES, revoked: bool = False
) -> Token:
    revoked_at = NOW if revoked else None
    return Token(
        id="0" * 8,
        kind="sdk",
        project=project,
        scopes=scopes,
        created_at=NOW,
        revoked_at=revoked_at,
    )


def live(*grants: str, revoked: bool = False) -> Token:
    return Token(
        id="0" * 8, kind="live", grants=grants, created_at=NOW, revoked_at=NOW if revoked else None
    )


READ = Need("sdk", "acme", READERS)
WRITE = Need("sdk", "acme", WRITERS)
CALL = Need("live", "acme", workload="bot")

MATRIX = [
    (None, READ, 401, "invalid_token"),
    (None, CALL, 401, "invalid_token"),
    (sdk(revoked=True), READ, 401, "invalid_token"),
    (sdk(revoked=True), CALL, 401, "invalid_token"),
    (live("acme/*", revoked=True), CALL, 401, "invalid_token"),
    (live("acme/*"), READ, 403, "wrong_credential_type"),
    (live("acme/*"), WRITE, 403, "wrong_credential_type"),
    (sdk(), CALL, 403, "wrong_credential_type"),
    (sdk("other"), CALL, 403, "wrong_credential_type"),
    (sdk("other"), READ, 403, "project_scope_mismatch"),
    (sdk("other", ("workload:read",)), WRITE, 403, "project_scope_mismatch"),
    (sdk("acme2"), READ, 403, "project_scope_mismatch"),
    (sdk(scopes=("workload:read",)), WRITE, 403, "scope_insufficient"),
    (sdk(scopes=("assignment:write",)), WRITE, 403, "scope_insufficient"),
    (sdk(scopes=("assignment:write",)), READ, 403, "scope_insufficient"),
    (live("other/*"), CALL, 403, "project_scope_mismatch"),
    (live("other/bot"), CALL, 403, "project_scope_mismatch"),
    (live("acme2/bot", "ac/bot"), CALL, 403, "project_scope_mismatch"),
    (live("acme/billing"), CALL, 403, "scope_insufficient"),
    (live("acme/bots", "other/bot"), CALL, 403, "scope_insufficient"),
    (sdk(), READ, None, None),
    (sdk(), WRITE, None, None),
    (sdk(scopes=("workload:read",)), READ, None, None),
    (sdk(scopes=("workload:write",)), READ, None, None),
    (live("acme/bot"), CALL, None, None),
    (live("acme/*"), CALL, None, None),
    (live("other/x", "acme/bot"), CALL, None, None),
]


@pytest.mark.parametrize(("token", "need", "status", "code"), MATRIX)
def test_what_a_token_may_do(
    token: Token | None, need: Need, status: int | None, code: str | None
) -> None:
    refusal = authorise(token, need)
    assert (refusal and refusal.status, refusal and refusal.code) == (status, code)


slugs = st.text("abc-", min_size=1, max_size=4)


@given(st.sets(st.tuples(slugs, slugs | st.just("*")), min_size=1), slugs, slugs)
def test_a_data_key_opens_exactly_what_it_is_granted(
    grants: set[tuple[str, str]], project: str, workload: str
) -> None:
    refusal = authorise(
        live(*(f"{p}/{w}" for p, w in grants)), Need("live", project, workload=workload)
    )
    if (project, workload) in grants or (project, "*") in grants:
        assert refusal is None
    elif any(p == project for p, _ in grants):
        assert refusal is not None
        assert refusal.code == "scope_insufficient"
    else:
        assert refusal is not None
        assert refusal.code == "project_scope_mismatch"


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
    assert repr(Minted("secret", "id")) == "Minted(id='id')"


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


def test_every_refusal_says_something_without_the_token() -> None:
    for token, need in product([None, sdk("other"), live("x/y")], [READ, CALL]):
        refusal = authorise(token, need)
        assert refusal is not None
        assert refusal.message
