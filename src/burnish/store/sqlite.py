"""The embedded ledger: one SQLite file in one folder, many processes.

Four rules, each learned from a measured failure:

* Every writer takes an flock on `write.lock` first, then BEGIN IMMEDIATE. SQLite's own busy handler is unfair (commits
  of 3 s with four writers) and releases before 3.51.3 may lose pages when a write overlaps a checkpoint.
* Only the standard library's SQLite opens the file. A second SQLite in the process drops the POSIX locks of the first.
* The write-ahead log is truncated above 64 MB, inside the flock, or overlapping readers let it grow without end.
* synchronous=FULL: a flush that returned survives a power cut.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from burnish.errors import StoreCorrupt, StoreError, StoreReadOnly, StoreUnavailable
from burnish.store.columns import decode_json, encode_json

FILE = "burnish.db"
LARGEST_WAL_BYTES = 64 * 1024 * 1024
BUSY_SECONDS = 30.0
CHECKPOINT_MILLISECONDS = 250
CHECKPOINT_PAUSE = 1.0


class SqliteBackend:
    """SQLite in a folder, or in the one file that is named."""

    kind = "sqlite"
    snapshot: Mapping[str, Any] = {}

    def __init__(self, path: Path) -> None:
        self._file = path if path.suffix in {".db", ".sqlite", ".sqlite3"} else path / FILE
        self.url = f"sqlite:///{self._file}"
        self._wal = self._file.with_name(self._file.name + "-wal")
        self._threads = threading.Lock()
        self._lock_fd: int | None = None
        self._next_checkpoint = 0.0

    def engine(self) -> Engine:
        """Make the pool; creates the folder when it is not there."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreReadOnly(self.url, str(error)) from error
        engine = create_engine(
            f"sqlite:///{self._file}",
            connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False, "isolation_level": None},
            json_serializer=encode_json,
            json_deserializer=decode_json,
            pool_timeout=BUSY_SECONDS,
        )
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        return engine

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the flock: one writer at a time over all processes, in fair order."""
        with self._threads:
            if self._lock_fd is None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                lock = self._file.with_name("write.lock")
                self._lock_fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._lock_fd, fcntl.LOCK_UN)

    def revision(self, connection: Connection) -> str:
        """Return SQLite's data_version: it changes when another connection commits."""
        return str(connection.exec_driver_sql("PRAGMA data_version").scalar())

    def after_commit(self, connection: Connection) -> None:
        """Truncate the write-ahead log when it has grown past its bound."""
        try:
            due = self._wal.stat().st_size > LARGEST_WAL_BYTES and time.monotonic() >= self._next_checkpoint
        except OSError:
            return
        driver = connection.connection.driver_connection
        if due and isinstance(driver, sqlite3.Connection) and not _checkpoint(driver):
            self._next_checkpoint = time.monotonic() + CHECKPOINT_PAUSE

    def explain(self, error: Exception) -> StoreError | None:
        """Name what SQLite or the file system said."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        said = str(cause)
        if isinstance(cause, PermissionError) or "readonly" in said or "read-only" in said.lower():
            return StoreReadOnly(self.url, said)
        if "unable to open" in said and not os.access(self._file.parent, os.W_OK):
            return StoreReadOnly(self.url, said)
        if "not a database" in said or "malformed" in said or "disk image" in said:
            return StoreCorrupt(self.url, said)
        if isinstance(cause, (sqlite3.OperationalError, OSError)) and "no such" not in said and "syntax" not in said:
            return StoreUnavailable(self.url, said)
        return None

    def forked(self) -> None:
        """Open a lock file of the child's own at next use (an inherited descriptor shares the parent's lock)."""
        self._threads = threading.Lock()
        if self._lock_fd is not None:
            os.close(self._lock_fd)  # else a parent killed while it writes leaves its lock in the child's hands
            self._lock_fd = None


def _checkpoint(driver: sqlite3.Connection) -> bool:
    """Truncate the log; False when a long read is in the way. Waits for it briefly, as all writers wait for us."""
    driver.execute(f"PRAGMA busy_timeout={CHECKPOINT_MILLISECONDS}")
    try:
        busy, _, _ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy
    finally:
        driver.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000:.0f}")


def _prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY", "cache_size=-16000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":
        return  # the watch: a transaction would hold its snapshot, see no change and keep the log from shrinking
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("burnish_write", False) else "BEGIN")


def library_version(connection: Connection) -> tuple[int, ...]:
    """Return the version of the SQLite library in use, such as (3, 51, 3)."""
    found = connection.execute(text("SELECT sqlite_version()")).scalar_one()
    return tuple(int(part) for part in str(found).split("."))
