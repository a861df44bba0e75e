"""The store's tables, and how an SQLite file becomes one that has them.

``PRAGMA user_version`` counts the migrations that were applied; ``PRAGMA application_id`` says the file is ours. Several
processes may open the file at once, the first time too: everything that changes the schema happens in one transaction
that begins by taking the write lock.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from inferencekey.local.errors import StoreError

__all__ = ["MIGRATIONS", "connect", "prepare"]

APPLICATION_ID: Final = 0x494B4C31  # "IKL1"
BUSY_SECONDS: Final = 10.0

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE workloads (
            id TEXT PRIMARY KEY,
            project TEXT NOT NULL,
            slug TEXT NOT NULL,
            name TEXT NOT NULL,
            description TEXT,
            task_type TEXT NOT NULL,
            backend TEXT NOT NULL,
            model_name TEXT NOT NULL,
            config TEXT,
            worker_id TEXT,
            gpu_resource_id TEXT,
            execution_policy TEXT,
            execution_policy_config TEXT,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            UNIQUE (project, slug)
        )""",
        """CREATE TABLE status (
            workload_id TEXT PRIMARY KEY REFERENCES workloads (id) ON DELETE CASCADE,
            phase TEXT NOT NULL,
            message TEXT NOT NULL,
            step TEXT,
            served_by TEXT,
            updated_at TEXT NOT NULL
        )""",
        # The workload may be gone while its key is still remembered: no reference.
        """CREATE TABLE idempotency (
            project TEXT NOT NULL,
            key TEXT NOT NULL,
            body_digest BLOB NOT NULL,
            workload_id TEXT NOT NULL,
            at REAL NOT NULL,
            PRIMARY KEY (project, key)
        )""",
        """CREATE TABLE tokens (
            id TEXT PRIMARY KEY,
            kind TEXT NOT NULL CHECK (kind IN ('sdk', 'live')),
            digest BLOB NOT NULL,
            project TEXT,
            scopes TEXT NOT NULL,
            grants TEXT NOT NULL,
            created_at TEXT NOT NULL,
            revoked_at TEXT
        )""",
        """CREATE TABLE engines (
            pid INTEGER NOT NULL,
            create_time REAL NOT NULL,
            PRIMARY KEY (pid, create_time)
        )""",
    ),
    (
        "ALTER TABLE status ADD COLUMN running INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE status ADD COLUMN wanted INTEGER NOT NULL DEFAULT 0",
    ),
)


def prepare(path: Path) -> None:
    """Create the file or bring it up to date.

    Raises:
        StoreError: it cannot be created or read, is no database, is somebody else's, or was written by a newer version.
    """
    try:
        _create(path)
    except OSError as error:
        raise StoreError(
            f"cannot open the store {path}: {error.strerror}; choose another data directory"
        ) from error
    try:
        with closing(connect(path)) as connection:
            _use_wal(connection)
            _migrate(connection, path)
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"cannot use the store {path}: {error}; move the file away, or choose another data directory"
        ) from error


def _create(path: Path) -> None:
    """Create the file for its owner only, before SQLite creates it with the permissions of the umask.

    SQLite gives the files beside it, ``-wal`` and ``-shm``, the same permissions.
    """
    try:
        # O_EXCL: a file that is there must not be opened. Closing it again would release the locks that another
        # store of this process has on it, since POSIX locks belong to the process, and another process would then
        # remove the write-ahead log that this one still uses (https://sqlite.org/howtocorrupt.html, section 2.2).
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None


def connect(path: Path) -> sqlite3.Connection:
    """Open one connection in autocommit mode: transactions begin and end where the code says so."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        # FULL: what was acknowledged is on the disk, not merely in the operating system's memory.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()  # the file is no database
        raise
    connection.row_factory = sqlite3.Row
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        # Switching takes a lock for which SQLite does not wait by itself; it fails when two processes do it at once.
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
            return
        if time.monotonic() > deadline:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        time.sleep(0.01)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    # One snapshot: another process may be making the store between two of the questions.
    connection.execute("BEGIN")
    try:
        if _version(connection, path) == len(MIGRATIONS):
            return
    finally:
        connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")
    try:
        done = _version(connection, path)
        for statements in MIGRATIONS[done:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Return how many migrations were applied; refuse a file that is not ours or is newer than this code."""
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION_ID and (tables or version):
        raise StoreError(f"{path} is a database of another program; choose another data directory")
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the store {path} was written by a newer inferencekey (schema {version}, this one knows {len(MIGRATIONS)}); "
            "upgrade inferencekey, or choose another data directory"
        )
    return version
