"""What a token may do."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey.local.http.authorisation import ASSIGNERS, READERS, WRITERS, Need, authorise
from inferencekey.local.records import Token
from inferencekey.local.store.tokens import ALL_SCOPES, DEFAULT_SCOPES

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
def test_authorises_a_token_by_kind_project_scope_and_grant(
    token: Token | None, need: Need, status: int | None, code: str | None
) -> None:
    refusal = authorise(token, need)
    assert (refusal and refusal.status, refusal and refusal.code) == (status, code)


slugs = st.text("abc-", min_size=1, max_size=4)


@given(st.sets(st.tuples(slugs, slugs | st.just("*")), min_size=1), slugs, slugs)
def test_a_data_key_may_call_exactly_the_workloads_of_its_grants(
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


def test_every_refusal_has_a_message() -> None:
    for token, need in product([None, sdk("other"), live("x/y")], [READ, CALL]):
        refusal = authorise(token, need)
        assert refusal is not None
        assert refusal.message


def test_a_token_can_have_every_scope_that_a_route_needs() -> None:
    assert set(ALL_SCOPES) == READERS | WRITERS | ASSIGNERS
