"""What a token may do: one pure function. The order of its refusals is part of the contract."""

from __future__ import annotations

from typing import Final, Literal

import attrs

from inferencekey.config import TokenKind
from inferencekey.local.records import Token

__all__ = ["Need", "Refusal", "authorise"]


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


@attrs.frozen
class Refusal:
    """Why a request may not pass: status, the contract's code, and a line for people."""

    status: Literal[401, 403]
    code: str
    message: str


def authorise(token: Token | None, need: Need) -> Refusal | None:
    """Say why *token* may not do what *need* asks; ``None`` when it may.

    Args:
        token: the token presented, as stored; ``None`` when it is missing, unknown or not a token at all.
        need: what the route asks.
    """
    if token is None or token.revoked_at is not None:
        return Refusal(401, "invalid_token", _MISSING[need.plane])
    if token.kind != need.plane:
        return Refusal(403, "wrong_credential_type", _WRONG_KIND[need.plane])
    if token.kind == "sdk":
        return _authorise_sdk(token, need)
    return _authorise_live(token, need)


def _authorise_sdk(token: Token, need: Need) -> Refusal | None:
    if token.project != need.project:
        return Refusal(
            403, "project_scope_mismatch", f"this token is not for the project {need.project!r}"
        )
    if need.scopes.isdisjoint(token.scopes):
        wanted = " or ".join(sorted(need.scopes))
        return Refusal(403, "scope_insufficient", f"this token lacks the scope {wanted}")
    return None


def _authorise_live(token: Token, need: Need) -> Refusal | None:
    project = f"{need.project}/"
    granted = [grant.removeprefix(project) for grant in token.grants if grant.startswith(project)]
    if not granted:
        return Refusal(
            403, "project_scope_mismatch", f"this key is not for the project {need.project!r}"
        )
    if "*" not in granted and need.workload not in granted:
        return Refusal(
            403, "scope_insufficient", f"this key is not granted the workload {need.workload!r}"
        )
    return None


_MISSING: Final[dict[TokenKind, str]] = {
    "sdk": "the ik_sdk_ token is missing, unknown or revoked",
    "live": "the ik_live_ key is missing, unknown or revoked",
}


_WRONG_KIND: Final[dict[TokenKind, str]] = {
    "sdk": "the control plane requires an ik_sdk_ token",
    "live": "the data plane requires an ik_live_ key",
}
