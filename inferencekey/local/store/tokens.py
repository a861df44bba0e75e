"""Tokens: how they are created, recognised and checked.

A token is ``ik_<kind>_<8 hex>_<64 hex>``: its kind, its id and its secret. The store keeps only the
SHA-256 digest of the whole text. What a token may do is decided in
:mod:`inferencekey.local.http.authorisation`.
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
    """Return the id in a token's text; ``None`` if the text is not a token."""
    parts = minted_token_parts(text)
    return None if parts is None else parts.id


def digest(text: str) -> bytes:
    """Return the digest that is stored instead of the token."""
    return hashlib.sha256(text.encode()).digest()


def matches(text: str, stored: bytes) -> bool:
    """Compare a token with a stored digest, in constant time."""
    return hmac.compare_digest(digest(text), stored)


def checked_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes without repetitions.

    Raises:
        ValidationError: there are none, or one is unknown.
    """
    checked = tuple(dict.fromkeys(scopes))
    known = ", ".join(ALL_SCOPES)
    if not checked:
        raise ValidationError.of(f"a control token needs at least one scope of {known}")
    for scope in checked:
        if scope not in ALL_SCOPES:
            raise ValidationError.of(f"unknown scope {scope!r}; a scope is one of {known}")
    return checked


def checked_grants(grants: Iterable[str]) -> tuple[str, ...]:
    """Return the grants in canonical form, without repetitions.

    Raises:
        ValidationError: there are none, or one is neither ``PROJECT/WORKLOAD`` nor ``PROJECT/*``.
    """
    checked = tuple(dict.fromkeys(_checked_grant(grant) for grant in grants))
    if not checked:
        raise ValidationError.of("a data key needs a grant: PROJECT/WORKLOAD or PROJECT/*")
    return checked


def _checked_grant(grant: str) -> str:
    project, slash, workload = grant.partition("/")
    if not slash or "/" in workload or "*" in project:
        raise ValidationError.of(f"a grant must be PROJECT/WORKLOAD or PROJECT/*; got {grant!r}")
    project = checked_project(project.strip())
    if workload.strip() == "*":
        return f"{project}/*"
    slug = canonical_slug(workload)
    if not slug:
        raise ValidationError.of(f"a grant must be PROJECT/WORKLOAD or PROJECT/*; got {grant!r}")
    return f"{project}/{slug}"
