"""The tables of the store, and the migrations that create them in an SQLite file.

``PRAGMA user_version`` holds the number of migrations that the file has had, and
``PRAGMA application_id`` marks the file as a store of this package. Several processes may open a
new file at the same moment. Therefore all changes of the schema are made in one transaction, which
takes the write lock first.

A new field of a workload needs a new migration that adds its column::

    ("ALTER TABLE workloads ADD COLUMN the_field TEXT",),
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

APPLICATION_ID: Final = 0x494B4C31  # the bytes "IKL1"
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
        # `workload_id` is not a foreign key: a key is kept when its workload is deleted, so that a
        # late copy of the request does not create the workload again.
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
    """Create the file, or apply the migrations that it has not had.

    Raises:
        StoreError: the file cannot be created or read, is not a database, belongs to another
            program, or was written by a newer version.
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
            f"cannot use the store {path}: {error}; "
            "move the file away, or choose another data directory"
        ) from error


def _create(path: Path) -> None:
    """Create the file for its owner only.

    SQLite itself would create it with the permissions that the umask leaves.

    SQLite gives the files beside it, ``-wal`` and ``-shm``, the same permissions.
    """
    try:
        # O_EXCL: an existing file must not be opened. Closing it again would release the locks that
        # another store of this process has on it, since POSIX locks belong to the process. Another
        # process would then remove the write-ahead log that this one still uses
        # (https://sqlite.org/howtocorrupt.html, section 2.2).
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection on which the code begins and ends each transaction itself."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        # With FULL, a committed transaction is on the disk. With NORMAL, in WAL mode, a power
        # failure may undo it: https://www.sqlite.org/pragma.html#pragma_synchronous
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()  # The first statement fails if the file is not a database.
        raise
    connection.row_factory = sqlite3.Row
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        # SQLite does not apply its timeout to the lock that this statement takes, so it fails at
        # once if another process opens the file at the same moment.
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
            return
        if time.monotonic() > deadline:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        time.sleep(0.01)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    # A transaction gives `_version` one snapshot: another process may create the tables meanwhile.
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
    """Return the number of migrations that the file has had.

    Raises:
        StoreError: the file belongs to another program, or was written by a newer version.
    """
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION_ID and (tables or version):
        raise StoreError(f"{path} is a database of another program; choose another data directory")
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the store {path} was written by a newer inferencekey "
            f"(schema {version}, this one knows {len(MIGRATIONS)}); "
            "upgrade inferencekey, or choose another data directory"
        )
    return version
