"""Tokens: how they are made, and what they may do.

A token is ``ik_<kind>_<8 hex>_<64 hex>``: kind, id, secret. Only the sha256 of the whole is kept. What a token may do is
one pure function, ``local.http.authorisation.authorise``.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import Final, Literal

from inferencekey._core.slugs import canonical_slug, checked_project
from inferencekey.credentials import TokenKind, format_token, minted_token_parts
from inferencekey.errors import ValidationError
from inferencekey.local.records import MintedToken

__all__ = [
    "ALL_SCOPES",
    "DEFAULT_SCOPES",
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


def mint(kind: TokenKind) -> MintedToken:
    """Return a new random token."""
    name = secrets.token_hex(4)
    return MintedToken(format_token(kind, name, secrets.token_hex(32)), name)


def token_id(text: str) -> str | None:
    """Return the id inside a token's text; ``None`` when it is not of a token's shape."""
    parts = minted_token_parts(text)
    return None if parts is None else parts.id


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
