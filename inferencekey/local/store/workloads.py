"""The rows of the workloads, and of the idempotency keys that created them.

The functions take a connection on which :class:`~inferencekey.local.store.Store` has begun a
transaction.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from inferencekey.local.defaults import IDEMPOTENCY_SECONDS
from inferencekey.local.errors import IdempotencyConflict
from inferencekey.local.records import StoredWorkload
from inferencekey.models.workload_fields import CREATE_FIELDS, UPDATE_FIELDS

__all__ = ["insert_workload", "read_workload", "timestamp", "update_workload"]

# The columns have the fields' wire names; a migration in `schema` adds the column of a new field.
_MAPPINGS: Final = frozenset(field.wire for field in CREATE_FIELDS if field.kind == "mapping")
_UPDATABLE: Final = frozenset(field.wire for field in UPDATE_FIELDS)


def insert_workload(
    connection: sqlite3.Connection,
    project: str,
    slug: str,
    fields: Mapping[str, Any],
    idempotency_key: str | None,
) -> StoredWorkload:
    """Insert a workload, or return the workload that the idempotency key created before.

    Raises:
        IdempotencyConflict: the key was used with another content, or its workload has been
            deleted.
    """
    digest = _digest(slug, fields)
    if idempotency_key is not None:
        earlier = _workload_of_key(connection, project, idempotency_key, digest)
        if earlier is not None:
            return earlier
    now = timestamp()
    row = {
        **_columns(fields),
        "id": str(uuid.uuid4()),
        "project": project,
        "slug": _free_slug(connection, project, slug),
        "created_at": now,
        "updated_at": now,
    }
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    # The values come from a request, but the names of the columns do not.
    connection.execute(f"INSERT INTO workloads ({names}) VALUES ({marks})", row)  # noqa: S608
    if idempotency_key is not None:
        connection.execute(
            "INSERT INTO idempotency VALUES (?, ?, ?, ?, ?)",
            (project, idempotency_key, digest, row["id"], time.time()),
        )
    return _workload_with_id(connection, row["id"])


def update_workload(
    connection: sqlite3.Connection,
    workload_id: str,
    decide: Callable[[StoredWorkload], Mapping[str, Any]],
) -> tuple[StoredWorkload, StoredWorkload] | None:
    """Set the fields that *decide* returns. Return the workload before and after the change."""
    before = _find(connection, workload_id)
    if before is None:
        return None
    changes = {name: value for name, value in decide(before).items() if name in _UPDATABLE}
    if not changes:
        return before, before
    assignments = ", ".join(f"{name} = :{name}" for name in changes)
    connection.execute(
        f"UPDATE workloads SET {assignments}, updated_at = :now WHERE id = :id",  # noqa: S608
        {**_columns(changes), "now": timestamp(), "id": workload_id},
    )
    return before, _workload_with_id(connection, workload_id)


def read_workload(row: sqlite3.Row) -> StoredWorkload:
    """Convert a row of the table."""
    fields = dict(row)
    for name in _MAPPINGS:
        if fields[name] is not None:
            fields[name] = json.loads(fields[name])
    return StoredWorkload(**fields)


def timestamp() -> str:
    """Return the current time in UTC, in the format of RFC 3339."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _digest(slug: str, fields: Mapping[str, Any]) -> bytes:
    content = json.dumps({"slug": slug, **fields}, sort_keys=True)
    return hashlib.sha256(content.encode()).digest()


def _workload_of_key(
    connection: sqlite3.Connection, project: str, key: str, digest: bytes
) -> StoredWorkload | None:
    """Return the workload that this key created; ``None`` if the key is new."""
    connection.execute("DELETE FROM idempotency WHERE at < ?", (time.time() - IDEMPOTENCY_SECONDS,))
    used = connection.execute(
        "SELECT body_digest, workload_id FROM idempotency WHERE project = ? AND key = ?",
        (project, key),
    ).fetchone()
    if used is None:
        return None
    if used["body_digest"] != digest:
        raise IdempotencyConflict("this Idempotency-Key was used with another body; use a new key")
    workload = _find(connection, used["workload_id"])
    if workload is None:
        # A copy of the request that arrives late must not create the deleted workload again.
        raise IdempotencyConflict(
            "this Idempotency-Key was used for a workload that has been deleted; use a new key"
        )
    return workload


def _find(connection: sqlite3.Connection, workload_id: str) -> StoredWorkload | None:
    row = connection.execute("SELECT * FROM workloads WHERE id = ?", (workload_id,)).fetchone()
    return None if row is None else read_workload(row)


def _workload_with_id(connection: sqlite3.Connection, workload_id: str) -> StoredWorkload:
    workload = _find(connection, workload_id)
    assert workload is not None  # It was written in this transaction.
    return workload


def _free_slug(connection: sqlite3.Connection, project: str, slug: str) -> str:
    """Return the slug, with the first free suffix ``-1``, ``-2``, … if it is taken."""
    free, suffix = slug, 0
    while connection.execute(
        "SELECT 1 FROM workloads WHERE project = ? AND slug = ?", (project, free)
    ).fetchone():
        suffix += 1
        free = f"{slug}-{suffix}"
    return free


def _columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the columns: mappings are stored as JSON."""
    columns = dict(fields)
    for name in _MAPPINGS & fields.keys():
        if fields[name] is not None:
            columns[name] = json.dumps(fields[name])
    return columns
