"""Credentials of others: a spec is stored, shown in plans and committed, and is no place for them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, cast

__all__ = ["foreign_secrets"]

Path = tuple[str | int, ...]

# Long enough that a mention (`sk-…`, `hf_xxx`) is none, and begun by what only its maker's tokens begin with.
_KINDS: Final = (
    ("a Hugging Face token", re.compile(r"(?<![A-Za-z0-9_])hf_[A-Za-z0-9]{20,}")),
    ("an API key", re.compile(r"(?<![A-Za-z0-9_-])sk-(?=[A-Za-z0-9_-]*[0-9])[A-Za-z0-9_-]{20,}")),
    (
        "a GitHub token",
        re.compile(r"(?<![A-Za-z0-9_])(?:gh[opsur]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})"),
    ),
    ("an AWS access key", re.compile(r"(?<![A-Za-z0-9_])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])")),
    (
        "a password in a URL",
        re.compile(
            r"[A-Za-z][A-Za-z0-9+.-]{0,20}://[^/\s:@'\"${}]{0,99}:(?![$<{])[^/\s@'\"]{1,99}@"
        ),
    ),
)


def foreign_secrets(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield where in plain values something looks like a credential, and like which kind; never the value."""
    if isinstance(value, str):
        yield from ((path, kind) for kind, pattern in _KINDS if pattern.search(value))
    elif isinstance(value, Mapping):
        for key, inner in cast("Mapping[str, object]", value).items():
            yield from foreign_secrets(inner, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(cast("list[object]", value)):
            yield from foreign_secrets(inner, (*path, index))
