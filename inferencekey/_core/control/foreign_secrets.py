"""Credentials of others: a spec is stored, shown in plans and committed, and is no place for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from inferencekey.credentials import foreign_credentials

__all__ = ["foreign_secrets"]

Path = tuple[str | int, ...]


def foreign_secrets(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield where in plain values something looks like a credential, and like which kind; never the value."""
    if isinstance(value, str):
        yield from ((path, kind) for kind in foreign_credentials(value))
    elif isinstance(value, Mapping):
        for key, inner in cast("Mapping[str, object]", value).items():
            yield from foreign_secrets(inner, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(cast("list[object]", value)):
            yield from foreign_secrets(inner, (*path, index))
