"""The tokens that ``inferencekey up`` and ``inferencekey env`` print, kept in ``tokens.json``.

The store has hashes of tokens only. This file has the tokens themselves, so only its owner can read
it (mode 0600). It has one pair for each project, however many times ``up`` is called.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import attrs

from inferencekey._core.slugs import checked_project
from inferencekey.local.defaults import DEFAULT_PROJECT
from inferencekey.local.store.store import Store, open_store
from inferencekey.local.store.tokens import DEFAULT_SCOPES

__all__ = ["TokenPair", "checked_project", "token_pair"]


@attrs.frozen
class TokenPair:
    """The tokens that give access to one project of a local platform.

    Args:
        project: the project's slug.
        sdk_token: a control token for the project, with the default scopes.
        api_key: a data key for every workload of the project.
    """

    project: str
    sdk_token: str = attrs.field(repr=False)
    api_key: str = attrs.field(repr=False)


def token_pair(
    data_dir: Path, project: str | None = None, *, set_default: bool = False
) -> TokenPair:
    """Return the pair of a project. A token that is missing or revoked is replaced by a new one.

    Args:
        data_dir: the platform's data directory.
        project: the project; default: that of the last call with *set_default*.
        set_default: make this project the default of later calls.

    Raises:
        ValidationError: the project is not a slug.
        PlatformError: the data directory cannot be used.
        StoreError: the store cannot be read, or was written by a newer version.
    """
    with open_store(data_dir) as store, _lock(data_dir):
        stored = _read(data_dir)
        if project is None:
            project = stored.get("project")
        name = checked_project(project if isinstance(project, str) else DEFAULT_PROJECT)
        pairs = _dict(stored.get("pairs"))
        known = _dict(pairs.get(name))
        pair = _completed(store, name, known)
        pairs[name] = {"sdk_token": pair.sdk_token, "api_key": pair.api_key}
        default = name if set_default or "project" not in stored else stored["project"]
        content = {"project": default, "pairs": pairs}
        if content != stored:
            _write(data_dir, content)
    return pair


def _completed(store: Store, project: str, known: dict[str, Any]) -> TokenPair:
    sdk_token, api_key = known.get("sdk_token"), known.get("api_key")
    if not _is_sdk_token(store, sdk_token, project):
        sdk_token = store.mint_sdk_token(project).text
    if not _is_api_key(store, api_key, project):
        api_key = store.mint_live_token(f"{project}/*").text
    return TokenPair(project, str(sdk_token), str(api_key))


def _is_sdk_token(store: Store, text: object, project: str) -> bool:
    token = store.token(text) if isinstance(text, str) else None
    return (
        token is not None
        and token.revoked_at is None
        and token.project == project
        and set(DEFAULT_SCOPES) <= set(token.scopes)
    )


def _is_api_key(store: Store, text: object, project: str) -> bool:
    token = store.token(text) if isinstance(text, str) else None
    return token is not None and token.revoked_at is None and f"{project}/*" in token.grants


@contextmanager
def _lock(data_dir: Path) -> Generator[None]:
    """Let one process at a time change the file; two at once would mint two pairs."""
    descriptor = os.open(data_dir / "tokens.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(data_dir: Path) -> dict[str, Any]:
    # A missing or damaged file is treated as empty: new tokens are minted.
    with suppress(OSError, ValueError):
        return _dict(json.loads(_path(data_dir).read_text(encoding="utf-8")))
    return {}


def _write(data_dir: Path, content: dict[str, Any]) -> None:
    fresh = _path(data_dir).with_suffix(".new")
    # A file that already exists would keep its own permissions.
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)
    # The rename is atomic: a reader gets the old file or the new one, never a part of one.
    fresh.replace(_path(data_dir))


def _path(data_dir: Path) -> Path:
    return data_dir / "tokens.json"


def _dict(value: object) -> dict[str, Any]:
    return dict(cast("dict[str, Any]", value)) if isinstance(value, dict) else {}
