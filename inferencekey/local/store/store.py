"""What the platform remembers: workloads, tokens, engines, idempotency keys and status, in one SQLite file.

Synchronous, and safe to share between threads and processes: the command line mints tokens through it while the
platform runs. Writes are one transaction each and are on the disk when the call returns. Reads have a connection of their
own, so that looking a token up never waits for a write.
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
from inferencekey.config import TokenKind
from inferencekey.local.data_dir import create_private
from inferencekey.local.defaults import default_data_dir
from inferencekey.local.errors import StoreError
from inferencekey.local.records import EngineRecord, MintedToken, Status, StoredWorkload, Token
from inferencekey.local.store import tokens
from inferencekey.local.store.schema import connect, prepare
from inferencekey.local.store.workloads import (
    insert_workload,
    read_workload,
    timestamp,
    update_workload,
)

__all__ = ["Store", "open_store", "store_path"]

# The workload may be deleted while its status is on its way here: then nothing is selected.
_SET_STATUS: Final = """
    INSERT OR REPLACE INTO status
        (workload_id, phase, message, step, served_by, running, wanted, updated_at)
    SELECT id, :phase, :message, :step, :served_by, :running, :wanted, :updated_at
    FROM workloads WHERE id = :workload_id
"""


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
        with self._transaction() as write:
            return insert_workload(write, project, slug, fields, idempotency_key)

    def update_workload(
        self, workload_id: str, decide: Callable[[StoredWorkload], Mapping[str, Any]]
    ) -> tuple[StoredWorkload, StoredWorkload] | None:
        """Change a workload; return it as it was and as it is, or ``None`` when there is none.

        Args:
            workload_id: which.
            decide: given the workload as it is, returns the fields to set, checked. Nothing else is written meanwhile.
        """
        with self._transaction() as write:
            return update_workload(write, workload_id, decide)

    def delete_workload(self, workload_id: str) -> bool:
        """Forget a workload and its status; whether it was there."""
        with self._transaction() as write:
            return write.execute("DELETE FROM workloads WHERE id = ?", (workload_id,)).rowcount > 0

    def workload(self, project: str, slug: str) -> StoredWorkload | None:
        """Return the workload of that project with exactly that slug."""
        row = self._row("SELECT * FROM workloads WHERE project = ? AND slug = ?", (project, slug))
        return None if row is None else read_workload(row)

    def workload_by_id(self, workload_id: str) -> StoredWorkload | None:
        """Return the workload with that id."""
        row = self._row("SELECT * FROM workloads WHERE id = ?", (workload_id,))
        return None if row is None else read_workload(row)

    def workloads(self, project: str | None = None) -> list[StoredWorkload]:
        """Return the workloads of one project, or all, oldest first."""
        rows = self._rows(
            "SELECT * FROM workloads WHERE ? IS NULL OR project = ? ORDER BY created_at, slug",
            (project, project),
        )
        return [read_workload(row) for row in rows]

    # Status

    def set_statuses(self, statuses: Mapping[str, Status]) -> None:
        """Remember where workloads are, by id; those that are gone are passed over."""
        rows = [
            {**attrs.asdict(status), "workload_id": workload_id, "updated_at": timestamp()}
            for workload_id, status in statuses.items()
        ]
        with self._transaction() as write:
            write.executemany(_SET_STATUS, rows)

    def statuses(self) -> dict[str, Status]:
        """Return the last known status of each workload, by the workload's id."""
        found: dict[str, Status] = {}
        for row in self._rows("SELECT * FROM status"):
            fields = dict(row)
            workload_id: str = fields.pop("workload_id")
            found[workload_id] = Status(**fields)
        return found

    # Tokens

    def mint_sdk_token(
        self, project: str, scopes: Iterable[str] = tokens.DEFAULT_SCOPES
    ) -> MintedToken:
        """Make and store a control token; it is accepted at once, also by a platform that is already running.

        Raises:
            ValidationError: the project or a scope is not one.
        """
        checked = checked_project(project.strip())
        return self._mint("sdk", checked, tokens.checked_scopes(scopes), ())

    def mint_live_token(self, *grants: str) -> MintedToken:
        """Make and store a data key for ``PROJECT/WORKLOAD`` or ``PROJECT/*``; the workload need not exist yet.

        Raises:
            ValidationError: a grant is neither.
        """
        return self._mint("live", None, (), tokens.checked_grants(grants))

    def _mint(
        self, kind: TokenKind, project: str | None, scopes: tuple[str, ...], grants: tuple[str, ...]
    ) -> MintedToken:
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
                        json.dumps(scopes),
                        json.dumps(grants),
                        timestamp(),
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
            revoked = write.execute(
                "UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL",
                (timestamp(), name),
            ).rowcount
        return revoked > 0

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
    create_private(where)
    return Store(store_path(where))


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
