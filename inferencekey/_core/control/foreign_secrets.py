"""Credentials of other services in a spec, which is stored, shown in plans and committed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from inferencekey.credentials import foreign_credentials

__all__ = ["foreign_secrets"]

Path = tuple[str | int, ...]


def foreign_secrets(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the path and the kind of all that looks like a credential, but never its value."""
    if isinstance(value, str):
        yield from ((path, kind) for kind in foreign_credentials(value))
    elif isinstance(value, Mapping):
        for key, inner in cast("Mapping[str, object]", value).items():
            yield from foreign_secrets(inner, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(cast("list[object]", value)):
            yield from foreign_secrets(inner, (*path, index))
