"""Tokens: how they are made, and what they may do.

A token is ``ik_<kind>_<8 hex>_<64 hex>``: kind, id, secret. Only the sha256 of the whole is kept. What a token may do is
one pure function, :func:`authorise`; the order of its refusals is part of the contract.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal

import attrs

from inferencekey._core.slugs import canonical_slug, checked_project
from inferencekey.config import TokenKind
from inferencekey.errors import ValidationError

__all__ = [
    "ALL_SCOPES",
    "ASSIGNERS",
    "DEFAULT_SCOPES",
    "Minted",
    "Need",
    "Refusal",
    "Token",
    "authorise",
    "checked_grants",
    "checked_scopes",
    "digest",
    "matches",
    "mint",
    "token_id",
]

Scope = Literal["workload:write", "assignment:write", "workload:read"]

ALL_SCOPES: Final[tuple[str, ...]] = ("workload:write", "assignment:write", "workload:read")
DEFAULT_SCOPES: Final[tuple[str, ...]] = ("workload:write", "assignment:write")

READERS: Final = frozenset({"workload:read", "workload:write"})
WRITERS: Final = frozenset({"workload:write"})
ASSIGNERS: Final = frozenset({"assignment:write"})

_SHAPE = re.compile(r"ik_(sdk|live)_([0-9a-f]{8})_[0-9a-f]{64}\Z")


@attrs.frozen(kw_only=True)
class Token:
    """A token as the store knows it: everything but the secret.

    Args:
        id: the 8 hex characters in the middle, as redacted tokens show them.
        kind: ``"sdk"`` for the control plane, ``"live"`` for the data plane.
        project: the one project of an ``sdk`` token; ``None`` for ``live``.
        scopes: of an ``sdk`` token.
        grants: of a ``live`` token: ``project/workload`` or ``project/*``.
        created_at: UTC.
        revoked_at: UTC; ``None`` while it is valid.
    """

    id: str
    kind: TokenKind
    project: str | None = None
    scopes: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    created_at: datetime
    revoked_at: datetime | None = None


@attrs.frozen
class Minted:
    """A fresh token: the only moment its text exists.

    Args:
        text: the token itself; show it once.
        id: what it is called from now on.
    """

    text: str = attrs.field(repr=False)
    id: str


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


def mint(kind: TokenKind) -> Minted:
    """Return a new random token."""
    name = secrets.token_hex(4)
    return Minted(f"ik_{kind}_{name}_{secrets.token_hex(32)}", name)


def token_id(text: str) -> str | None:
    """Return the id inside a token's text; ``None`` when it is not of a token's shape."""
    match = _SHAPE.match(text)
    return match[2] if match else None


def digest(text: str) -> bytes:
    """Return what is stored instead of the token."""
    return hashlib.sha256(text.encode()).digest()


def matches(text: str, stored: bytes) -> bool:
    """Compare a presented token with a stored digest, in constant time."""
    return hmac.compare_digest(digest(text), stored)


def checked_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes, each once.

    Raises:
        ValidationError: there are none, or one is unknown.
    """
    wanted = tuple(dict.fromkeys(scopes))
    unknown = [scope for scope in wanted if scope not in ALL_SCOPES]
    if unknown or not wanted:
        named = f"unknown scope {unknown[0]!r}" if unknown else "a token needs a scope"
        raise ValidationError.of(f"{named}; the scopes are {', '.join(ALL_SCOPES)}")
    return wanted


def checked_grants(grants: Iterable[str]) -> tuple[str, ...]:
    """Return the grants in canonical form, each once.

    Raises:
        ValidationError: there are none, or one is neither ``PROJECT/WORKLOAD`` nor ``PROJECT/*``.
    """
    wanted = tuple(dict.fromkeys(_checked_grant(grant) for grant in grants))
    if not wanted:
        raise ValidationError.of("a live token needs a grant: PROJECT/WORKLOAD or PROJECT/*")
    return wanted


def _checked_grant(grant: str) -> str:
    project, slash, workload = grant.partition("/")
    if not slash or "/" in workload or "*" in project:
        raise ValidationError.of(f"a grant is PROJECT/WORKLOAD or PROJECT/*; got {grant!r}")
    project = checked_project(project.strip())
    if workload.strip() == "*":
        return f"{project}/*"
    slug = canonical_slug(workload)
    if not slug:
        raise ValidationError.of(f"a grant is PROJECT/WORKLOAD or PROJECT/*; got {grant!r}")
    return f"{project}/{slug}"


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
