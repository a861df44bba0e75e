"""What the platform remembers: workloads, tokens, engines, idempotency keys and status, in one SQLite file.

Synchronous, and safe to share between threads and processes: the command line mints tokens through it while the
platform runs. Writes are one transaction each and are on the disk when the call returns. Reads have a connection of their
own, so that looking a token up never waits for a write.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from inferencekey._core.slugs import checked_project
from inferencekey.config import TokenKind
from inferencekey.local.data_dir import make_private
from inferencekey.local.defaults import IDEMPOTENCY_SECONDS, default_data_dir
from inferencekey.local.errors import IdempotencyConflict, StoreError
from inferencekey.local.records import EngineRecord, Minted, Status, StoredWorkload, Token
from inferencekey.local.store import tokens
from inferencekey.local.store.schema import connect, prepare

__all__ = ["Store", "open_store", "store_path"]

_JSON: Final = frozenset({"config", "execution_policy_config"})
_SETTABLE: Final = (
    "name",
    "description",
    "backend",
    "model_name",
    "config",
    "worker_id",
    "gpu_resource_id",
    "execution_policy",
    "execution_policy_config",
)


class Store:
    """The platform's memory.

    Args:
        path: the SQLite file; created if absent, readable by its owner only.

    Raises:
        StoreError: the file cannot be created, is no database, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        prepare(path)
        self.path = path
        self._writer = connect(path)
        self._reader = connect(path)
        self._writing = threading.Lock()

    def close(self) -> None:
        """Close both connections; what was written stays."""
        with self._writing:
            self._writer.close()
            self._reader.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Workloads

    def create_workload(
        self,
        project: str,
        slug: str,
        fields: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> StoredWorkload:
        """Store a new workload; a slug that is taken gets ``-1``, ``-2``, ….

        Args:
            project: where.
            slug: canonical.
            fields: ``task_type`` and the settable fields, already checked.
            idempotency_key: a second create with the same key, project and content returns the first one's workload.

        Raises:
            IdempotencyConflict: the key came with another content before, or its workload has been deleted.
        """
        content = hashlib.sha256(
            json.dumps({"slug": slug, **fields}, sort_keys=True).encode()
        ).digest()
        with self._transaction() as write:
            if idempotency_key is not None:
                earlier = self._replayed(write, project, idempotency_key, content)
                if earlier is not None:
                    return earlier
            now = _now()
            row = {
                **dict.fromkeys(_SETTABLE),
                **{
                    name: _dumps(value) if name in _JSON else value
                    for name, value in fields.items()
                },
                "id": str(uuid.uuid4()),
                "project": project,
                "slug": _free_slug(write, project, slug),
                "created_at": now,
                "updated_at": now,
            }
            names = ", ".join(row)
            marks = ", ".join(f":{name}" for name in row)
            write.execute(f"INSERT INTO workloads ({names}) VALUES ({marks})", row)  # noqa: S608 - names are ours
            if idempotency_key is not None:
                write.execute(
                    "INSERT INTO idempotency VALUES (?, ?, ?, ?, ?)",
                    (project, idempotency_key, content, row["id"], time.time()),
                )
            return _workload(
                write.execute("SELECT * FROM workloads WHERE id = ?", (row["id"],)).fetchone()
            )

    def _replayed(
        self, write: sqlite3.Connection, project: str, key: str, content: bytes
    ) -> StoredWorkload | None:
        write.execute("DELETE FROM idempotency WHERE at < ?", (time.time() - IDEMPOTENCY_SECONDS,))
        seen = write.execute(
            "SELECT body_digest, workload_id FROM idempotency WHERE project = ? AND key = ?",
            (project, key),
        ).fetchone()
        if seen is None:
            return None
        if seen["body_digest"] != content:
            raise IdempotencyConflict(
                "this Idempotency-Key was used for another body; use a new key"
            )
        row = write.execute(
            "SELECT * FROM workloads WHERE id = ?", (seen["workload_id"],)
        ).fetchone()
        if row is None:
            # A create that arrives late must not bring back what somebody has deleted since.
            raise IdempotencyConflict(
                "this Idempotency-Key was used for a workload that has been deleted since; use a new key"
            )
        return _workload(row)

    def update_workload(
        self, workload_id: str, decide: Callable[[StoredWorkload], Mapping[str, Any]]
    ) -> tuple[StoredWorkload, StoredWorkload] | None:
        """Change a workload; return it as it was and as it is, or ``None`` when there is none.

        Args:
            workload_id: which.
            decide: given the workload as it is, returns the fields to set, checked. Nothing else is written meanwhile.
        """
        with self._transaction() as write:
            row = write.execute("SELECT * FROM workloads WHERE id = ?", (workload_id,)).fetchone()
            if row is None:
                return None
            before = _workload(row)
            changes = {name: value for name, value in decide(before).items() if name in _SETTABLE}
            if not changes:
                return before, before
            assignments = ", ".join(f"{name} = :{name}" for name in changes)
            values = {
                name: _dumps(value) if name in _JSON else value for name, value in changes.items()
            }
            write.execute(
                f"UPDATE workloads SET {assignments}, updated_at = :now WHERE id = :id",  # noqa: S608 - names are ours
                {**values, "now": _now(), "id": workload_id},
            )
            row = write.execute("SELECT * FROM workloads WHERE id = ?", (workload_id,)).fetchone()
        return before, _workload(row)

    def delete_workload(self, workload_id: str) -> bool:
        """Forget a workload and its status; whether it was there."""
        with self._transaction() as write:
            return write.execute("DELETE FROM workloads WHERE id = ?", (workload_id,)).rowcount > 0

    def workload(self, project: str, slug: str) -> StoredWorkload | None:
        """Return the workload of that project with exactly that slug."""
        row = self._row("SELECT * FROM workloads WHERE project = ? AND slug = ?", (project, slug))
        return None if row is None else _workload(row)

    def workload_by_id(self, workload_id: str) -> StoredWorkload | None:
        """Return the workload with that id."""
        row = self._row("SELECT * FROM workloads WHERE id = ?", (workload_id,))
        return None if row is None else _workload(row)

    def workloads(self, project: str | None = None) -> list[StoredWorkload]:
        """Return the workloads of one project, or all, oldest first."""
        rows = self._rows(
            "SELECT * FROM workloads WHERE ? IS NULL OR project = ? ORDER BY created_at, slug",
            (project, project),
        )
        return [_workload(row) for row in rows]

    # Status

    def set_statuses(self, statuses: Mapping[str, Status]) -> None:
        """Remember where workloads are, by id; those that are gone are passed over."""
        with self._transaction() as write:
            write.executemany(
                "INSERT INTO status (workload_id, phase, message, step, served_by, running, wanted, updated_at) "
                "SELECT id, ?, ?, ?, ?, ?, ?, ? FROM workloads WHERE id = ? "
                "ON CONFLICT (workload_id) DO UPDATE SET phase = excluded.phase, message = excluded.message, "
                "step = excluded.step, served_by = excluded.served_by, running = excluded.running, "
                "wanted = excluded.wanted, updated_at = excluded.updated_at",
                [
                    (
                        status.phase,
                        status.message,
                        status.step,
                        status.served_by,
                        status.running,
                        status.wanted,
                        _now(),
                        workload_id,
                    )
                    for workload_id, status in statuses.items()
                ],
            )

    def statuses(self) -> dict[str, Status]:
        """Return the last known status of each workload, by the workload's id."""
        return {
            row["workload_id"]: Status(
                phase=row["phase"],
                message=row["message"],
                step=row["step"],
                served_by=row["served_by"],
                running=row["running"],
                wanted=row["wanted"],
                updated_at=row["updated_at"],
            )
            for row in self._rows("SELECT * FROM status")
        }

    # Tokens

    def mint_sdk_token(self, project: str, scopes: Iterable[str] = tokens.DEFAULT_SCOPES) -> Minted:
        """Make and store a control token; it is accepted at once, also by a platform that is already running.

        Raises:
            ValidationError: the project or a scope is not one.
        """
        checked = checked_project(project.strip())
        return self._mint("sdk", checked, tokens.checked_scopes(scopes), ())

    def mint_live_token(self, *grants: str) -> Minted:
        """Make and store a data key for ``PROJECT/WORKLOAD`` or ``PROJECT/*``; the workload need not exist yet.

        Raises:
            ValidationError: a grant is neither.
        """
        return self._mint("live", None, (), tokens.checked_grants(grants))

    def _mint(
        self, kind: TokenKind, project: str | None, scopes: tuple[str, ...], grants: tuple[str, ...]
    ) -> Minted:
        while True:
            minted = tokens.mint(kind)
            with self._transaction() as write:
                # Ids have 32 bits: taken is rare, but not impossible.
                added = write.execute(
                    "INSERT OR IGNORE INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
                    (
                        minted.id,
                        kind,
                        tokens.digest(minted.text),
                        project,
                        _dumps(scopes),
                        _dumps(grants),
                        _now(),
                    ),
                ).rowcount
            if added:
                return minted

    def token(self, text: str) -> Token | None:
        """Return what is known about a presented token, revoked ones included; ``None`` for an unknown one."""
        name = tokens.token_id(text)
        if name is None:
            return None
        row = self._row("SELECT * FROM tokens WHERE id = ?", (name,))
        if row is None or not tokens.matches(text, row["digest"]):
            return None
        return _token(row)

    def tokens(self) -> list[Token]:
        """Return every token ever minted, oldest first, without secrets."""
        return [_token(row) for row in self._rows("SELECT * FROM tokens ORDER BY created_at, id")]

    def revoke_token(self, token: str) -> bool:
        """Revoke by id, or by the token's own text; whether a valid token was revoked by it."""
        name = tokens.token_id(token) or token
        with self._transaction() as write:
            return (
                write.execute(
                    "UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL",
                    (_now(), name),
                ).rowcount
                > 0
            )

    # Engines

    def add_engine(self, engine: EngineRecord) -> None:
        """Remember a running engine, so that the next platform can end it if this one is killed."""
        with self._transaction() as write:
            write.execute(
                "INSERT OR REPLACE INTO engines VALUES (?, ?)", (engine.pid, engine.create_time)
            )

    def clear_engines(self) -> None:
        """Forget all engines: they have ended."""
        with self._transaction() as write:
            write.execute("DELETE FROM engines")

    def engines(self) -> list[EngineRecord]:
        """Return the engines that were started; some may have ended since."""
        rows = self._rows("SELECT pid, create_time FROM engines ORDER BY rowid")
        return [EngineRecord(row["pid"], row["create_time"]) for row in rows]

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """Hold the write lock of the file from the first statement: no read in it can be out of date."""
        with self._writing:
            write = self._writer
            try:
                write.execute("BEGIN IMMEDIATE")
                yield write
                write.execute("COMMIT")
            except sqlite3.Error as error:
                raise StoreError(f"cannot write to the store {self.path}: {error}") from error
            finally:
                if write.in_transaction:
                    write.execute("ROLLBACK")

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> list[sqlite3.Row]:
        try:
            return self._reader.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the store {self.path}: {error}") from error

    def _row(self, query: str, values: tuple[object, ...]) -> sqlite3.Row | None:
        rows = self._rows(query, values)
        return rows[0] if rows else None


def store_path(data_dir: Path) -> Path:
    """Return where the store of a data directory is."""
    return data_dir / "platform.db"


def open_store(data_dir: Path | str | None = None) -> Store:
    """Open the store of a data directory (default: this user's), beside a running platform or without one.

    Raises:
        PlatformError: the directory cannot be created or written to.
        StoreError: the store cannot be read, or was written by a newer version.
    """
    where = Path(data_dir).expanduser().absolute() if data_dir is not None else default_data_dir()
    make_private(where)
    return Store(store_path(where))


def _free_slug(write: sqlite3.Connection, project: str, slug: str) -> str:
    free, suffix = slug, 0
    while write.execute(
        "SELECT 1 FROM workloads WHERE project = ? AND slug = ?", (project, free)
    ).fetchone():
        suffix += 1
        free = f"{slug}-{suffix}"
    return free


def _workload(row: sqlite3.Row) -> StoredWorkload:
    fields = dict(row)
    for name in _JSON:
        fields[name] = json.loads(fields[name]) if fields[name] is not None else None
    return StoredWorkload(**fields)


def _token(row: sqlite3.Row) -> Token:
    return Token(
        id=row["id"],
        kind=row["kind"],
        project=row["project"],
        scopes=tuple(json.loads(row["scopes"])),
        grants=tuple(json.loads(row["grants"])),
        created_at=datetime.fromisoformat(row["created_at"]),
        revoked_at=datetime.fromisoformat(row["revoked_at"]) if row["revoked_at"] else None,
    )


def _dumps(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
