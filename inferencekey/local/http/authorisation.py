"""What a token may do: one function without I/O.

A request can be wrong in several ways at once. Which refusal it gets, by the order of the checks,
is part of the platform's contract.
"""

from __future__ import annotations

from typing import Final

import attrs

from inferencekey.credentials import TokenKind
from inferencekey.local.http.errors import HTTPRefusal
from inferencekey.local.records import Token

__all__ = ["ASSIGNERS", "READERS", "WRITERS", "Need", "authorise"]

READERS: Final = frozenset({"workload:read", "workload:write"})
WRITERS: Final = frozenset({"workload:write"})
ASSIGNERS: Final = frozenset({"assignment:write"})


@attrs.frozen
class Need:
    """What a route needs a token to have.

    Args:
        plane: the kind of token: ``"sdk"`` (control plane) or ``"live"`` (data plane).
        project: the project that the request is about.
        scopes: the token must have one of these; control plane only.
        workload: the canonical slug of the workload that is called; data plane only.
    """

    plane: TokenKind
    project: str
    scopes: frozenset[str] = frozenset()
    workload: str = ""


def authorise(token: Token | None, need: Need) -> HTTPRefusal | None:
    """Return why the token is not enough for the route; ``None`` if it is enough.

    Args:
        token: the stored token; ``None`` if the request has none, or an unknown one.
        need: what the route needs.
    """
    # An unknown token and a revoked one get the same response, which so reveals nothing.
    if token is None or token.revoked_at is not None:
        return HTTPRefusal(401, _MISSING[need.plane], code="invalid_token")
    if token.kind != need.plane:
        return HTTPRefusal(403, _WRONG_KIND[need.plane], code="wrong_credential_type")
    if token.kind == "sdk":
        return _authorise_sdk(token, need)
    return _authorise_live(token, need)


def _authorise_sdk(token: Token, need: Need) -> HTTPRefusal | None:
    if token.project != need.project:
        message = f"this token is not for the project {need.project!r}"
        return HTTPRefusal(403, message, code="project_scope_mismatch")
    if need.scopes.isdisjoint(token.scopes):
        wanted = " or ".join(sorted(need.scopes))
        message = f"this token lacks the scope {wanted}"
        return HTTPRefusal(403, message, code="scope_insufficient")
    return None


def _authorise_live(token: Token, need: Need) -> HTTPRefusal | None:
    project = f"{need.project}/"
    granted = [grant.removeprefix(project) for grant in token.grants if grant.startswith(project)]
    if not granted:
        message = f"this key is not for the project {need.project!r}"
        return HTTPRefusal(403, message, code="project_scope_mismatch")
    if "*" not in granted and need.workload not in granted:
        message = f"this key has no grant for the workload {need.workload!r}"
        return HTTPRefusal(403, message, code="scope_insufficient")
    return None


_MISSING: Final[dict[TokenKind, str]] = {
    "sdk": "the ik_sdk_ token is missing, unknown or revoked",
    "live": "the ik_live_ key is missing, unknown or revoked",
}


_WRONG_KIND: Final[dict[TokenKind, str]] = {
    "sdk": "the control plane requires an ik_sdk_ token",
    "live": "the data plane requires an ik_live_ key",
}
