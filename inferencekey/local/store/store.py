"""The store: workloads, their status, tokens, engines and idempotency keys in one SQLite file.

All methods are synchronous. Threads and processes may share the file: the command line creates
tokens in it while the platform runs. Each write is one transaction, which is on the disk when the
method returns. Reads use a second connection, so that the lookup of a token does not wait for a
write.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import attrs

from inferencekey._core.slugs import checked_project
from inferencekey.credentials import TokenKind
from inferencekey.local.data_dir import create_private, resolve_data_dir
from inferencekey.local.errors import StoreError
from inferencekey.local.records import (
    EngineRecord,
    MintedToken,
    StoredStatus,
    StoredWorkload,
    Token,
)
from inferencekey.local.store import tokens
from inferencekey.local.store.schema import connect, prepare
from inferencekey.local.store.workloads import (
    insert_workload,
    read_workload,
    timestamp,
    update_workload,
)

__all__ = ["Store", "open_store", "store_path"]

# The workload may have been deleted since the status was computed. Then nothing is selected.
_SET_STATUS: Final = """
    INSERT OR REPLACE INTO status
        (workload_id, phase, message, step, served_by, running, wanted, updated_at)
    SELECT id, :phase, :message, :step, :served_by, :running, :wanted, :updated_at
    FROM workloads WHERE id = :workload_id
"""


class Store:
    """Everything that the platform keeps, in one SQLite file.

    Args:
        path: the file. It is created if it does not exist, and only its owner can read it.

    Raises:
        StoreError: the file cannot be created, is not a database, or was written by a newer
            version.
    """

    def __init__(self, path: Path) -> None:
        prepare(path)
        self.path = path
        self._writer = connect(path)
        self._reader = connect(path)
        self._writing = threading.Lock()

    def close(self) -> None:
        """Close both connections."""
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
        """Store a new workload. If its slug is taken, it gets the suffix ``-1``, ``-2`` or so on.

        Args:
            project: the slug of its project.
            slug: its slug, in canonical form.
            fields: its other fields by their wire names; they have been checked.
            idempotency_key: a second call with the same key, project and content returns the
                workload of the first call.

        Raises:
            IdempotencyConflict: the key was used with another content, or its workload has been
                deleted.
        """
        with self._transaction() as write:
            return insert_workload(write, project, slug, fields, idempotency_key)

    def update_workload(
        self, workload_id: str, decide: Callable[[StoredWorkload], Mapping[str, Any]]
    ) -> tuple[StoredWorkload, StoredWorkload] | None:
        """Change a workload.

        Args:
            workload_id: its id.
            decide: takes the current workload and returns the fields to set, which it has checked.
                It runs inside the transaction, so the workload cannot change in between.

        Returns:
            The workload before and after the change; ``None`` if it does not exist.
        """
        with self._transaction() as write:
            return update_workload(write, workload_id, decide)

    def delete_workload(self, workload_id: str) -> bool:
        """Delete a workload and its status. Return whether it existed."""
        with self._transaction() as write:
            return write.execute("DELETE FROM workloads WHERE id = ?", (workload_id,)).rowcount > 0

    def workload(self, project: str, slug: str) -> StoredWorkload | None:
        """Return the workload with this slug in this project; the slug must be canonical."""
        row = self._row("SELECT * FROM workloads WHERE project = ? AND slug = ?", (project, slug))
        return None if row is None else read_workload(row)

    def workload_by_id(self, workload_id: str) -> StoredWorkload | None:
        """Return the workload with this id."""
        row = self._row("SELECT * FROM workloads WHERE id = ?", (workload_id,))
        return None if row is None else read_workload(row)

    def workloads(self, project: str | None = None) -> list[StoredWorkload]:
        """Return the workloads of one project or of all projects, oldest first."""
        rows = self._rows(
            "SELECT * FROM workloads WHERE ? IS NULL OR project = ? ORDER BY created_at, slug",
            (project, project),
        )
        return [read_workload(row) for row in rows]

    # Status

    def set_statuses(self, statuses: Mapping[str, StoredStatus]) -> None:
        """Store the status of workloads, by their id. Ids of deleted workloads are ignored."""
        rows = [
            {**attrs.asdict(status), "workload_id": workload_id, "updated_at": timestamp()}
            for workload_id, status in statuses.items()
        ]
        with self._transaction() as write:
            write.executemany(_SET_STATUS, rows)

    def statuses(self) -> dict[str, StoredStatus]:
        """Return the stored status of each workload, by its id."""
        found: dict[str, StoredStatus] = {}
        for row in self._rows("SELECT * FROM status"):
            fields = dict(row)
            workload_id: str = fields.pop("workload_id")
            found[workload_id] = StoredStatus(**fields)
        return found

    # Tokens

    def mint_sdk_token(
        self, project: str, scopes: Iterable[str] = tokens.DEFAULT_SCOPES
    ) -> MintedToken:
        """Create and store a control token. A running platform accepts it immediately.

        Raises:
            ValidationError: the project is not a slug, or a scope is unknown.
        """
        checked = checked_project(project.strip())
        return self._mint("sdk", checked, tokens.checked_scopes(scopes), ())

    def mint_live_token(self, *grants: str) -> MintedToken:
        """Create and store a data key for ``PROJECT/WORKLOAD`` or ``PROJECT/*``.

        The workload does not have to exist yet.

        Raises:
            ValidationError: a grant has another form.
        """
        return self._mint("live", None, (), tokens.checked_grants(grants))

    def _mint(
        self, kind: TokenKind, project: str | None, scopes: tuple[str, ...], grants: tuple[str, ...]
    ) -> MintedToken:
        while True:
            minted = tokens.mint(kind)
            with self._transaction() as write:
                # An id has only 32 random bits, so another token may have it already.
                added = write.execute(
                    "INSERT OR IGNORE INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
                    (
                        minted.id,
                        kind,
                        tokens.digest(minted.text),
                        project,
                        json.dumps(scopes),
                        json.dumps(grants),
                        timestamp(),
                    ),
                ).rowcount
            if added:
                return minted

    def token(self, text: str) -> Token | None:
        """Return the stored token with this text, even if it is revoked; ``None`` if unknown."""
        name = tokens.token_id(text)
        if name is None:
            return None
        row = self._row("SELECT * FROM tokens WHERE id = ?", (name,))
        if row is None or not tokens.matches(text, row["digest"]):
            return None
        return _token(row)

    def tokens(self) -> list[Token]:
        """Return all tokens, oldest first. The store does not have their secrets."""
        return [_token(row) for row in self._rows("SELECT * FROM tokens ORDER BY created_at, id")]

    def revoke_token(self, token: str) -> bool:
        """Revoke a token by its id or its text. Return whether it existed and was valid."""
        name = tokens.token_id(token) or token
        with self._transaction() as write:
            revoked = write.execute(
                "UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL",
                (timestamp(), name),
            ).rowcount
        return revoked > 0

    # Engines

    def add_engine(self, engine: EngineRecord) -> None:
        """Store an engine's process, so that the next platform can end it if this one is killed."""
        with self._transaction() as write:
            write.execute(
                "INSERT OR REPLACE INTO engines VALUES (?, ?)", (engine.pid, engine.create_time)
            )

    def clear_engines(self) -> None:
        """Delete all engines from the store, because they have ended."""
        with self._transaction() as write:
            write.execute("DELETE FROM engines")

    def engines(self) -> list[EngineRecord]:
        """Return the engines that were started. Some of them may have ended."""
        rows = self._rows("SELECT pid, create_time FROM engines ORDER BY rowid")
        return [EngineRecord(row["pid"], row["create_time"]) for row in rows]

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """Run the block in one transaction that holds the write lock from its start."""
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
    """Return the path of the store in a data directory."""
    return data_dir / "platform.db"


def open_store(data_dir: Path | str | None = None) -> Store:
    """Open the store of a data directory; it does not matter whether a platform is running.

    Args:
        data_dir: the data directory; default: this user's.

    Raises:
        PlatformError: the directory cannot be created or written to.
        StoreError: the store cannot be read, or was written by a newer version.
    """
    directory = resolve_data_dir(data_dir)
    create_private(directory)
    return Store(store_path(directory))


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
