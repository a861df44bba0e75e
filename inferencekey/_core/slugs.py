"""Slugs, and the other names that become part of a URL's path.

In the canonical form of a slug, letters are lower case, and each run of characters other than ASCII
letters and digits is one ``-``, with none at the ends. This is the platform contract's rule, and
the server stores this form.
"""

from __future__ import annotations

import re

from inferencekey.credentials import redact
from inferencekey.errors import ValidationError
from inferencekey.models.half_characters import HALF_CHARACTER, has_half_character

__all__ = ["canonical_slug", "checked_project", "checked_slug"]

_OTHER = re.compile(r"[^A-Za-z0-9]+")
_UNSAFE = re.compile(r"[/\\%?#\s\x00-\x1f\x7f\ud800-\udfff]|\.\.")


def canonical_slug(text: str) -> str:
    """Return the canonical form; empty if *text* has neither an ASCII letter nor a digit."""
    return _OTHER.sub("-", text).strip("-").lower()


def checked_slug(text: str, argument: str = "slug") -> str:
    """Return the canonical form.

    Raises:
        ValidationError: it is not a string, or its canonical form is empty.
    """
    _check_text(text, argument)
    slug = canonical_slug(text)
    if not text.strip():
        raise ValidationError.of(f"{argument} must not be empty")
    if not slug:
        raise ValidationError.of(
            f"{argument} must contain a letter (a to z) or a digit; got {redact(text)!r}"
        )
    return slug


def checked_project(project: str) -> str:
    """Return a project that can be part of a URL's path.

    Raises:
        ValidationError: it is blank, or contains ``/``, ``\\``, ``..``, ``%``, ``?``, ``#``, white
            space, control characters or half a character (a lone surrogate).
    """
    _check_text(project, "project")
    if not project.strip():
        raise ValidationError.of("project must not be empty")
    if _UNSAFE.search(project) or project == ".":
        raise ValidationError.of(
            "project must be a slug such as 'acme', without '/', '..', '%' or spaces; "
            f"got {redact(project)!r}"
        )
    return project


def _check_text(value: object, argument: str) -> None:
    if not isinstance(value, str):
        raise ValidationError.of(f"{argument} must be a string; got {type(value).__name__}")
    if has_half_character(value):
        raise ValidationError.of(f"{argument} {HALF_CHARACTER}")
