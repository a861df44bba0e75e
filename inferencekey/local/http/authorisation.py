"""What a token may do: one function without I/O. The order of its refusals is part of the contract."""

from __future__ import annotations

from typing import Final

import attrs

from inferencekey.config import TokenKind
from inferencekey.local.http.errors import HTTPRefusal
from inferencekey.local.records import Token

__all__ = ["ASSIGNERS", "READERS", "WRITERS", "Need", "authorise"]

READERS: Final = frozenset({"workload:read", "workload:write"})
WRITERS: Final = frozenset({"workload:write"})
ASSIGNERS: Final = frozenset({"assignment:write"})


@attrs.frozen
class Need:
    """What a route asks of a token.

    Args:
        plane: ``"sdk"`` (control) or ``"live"`` (data): the kind of token it takes.
        project: the project of the path or of the workload named in it.
        scopes: any one of these is enough; control plane only.
        workload: the canonical slug; data plane only.
    """

    plane: TokenKind
    project: str
    scopes: frozenset[str] = frozenset()
    workload: str = ""


def authorise(token: Token | None, need: Need) -> HTTPRefusal | None:
    """Return why *token* may not do what *need* asks; ``None`` when it may.

    Args:
        token: the token presented, as stored; ``None`` when it is missing, unknown or not a token at all.
        need: what the route asks.
    """
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
        message = f"this key is not granted the workload {need.workload!r}"
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
