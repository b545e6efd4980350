"""One ledger: transactions to read and to write, the same on every database.

A `Store` knows how to begin, commit and name its errors. It does not know what a run is: the SQL of a stage lives in
that stage's `ledger.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeoutError

from burnish.errors import SchemaMismatch, StoreError, StoreUnavailable
from burnish.store.version import HEAD, current_version


class Backend(Protocol):
    """What differs between databases."""

    kind: str
    """`sqlite` or `postgresql`."""
    url: str
    """The URL as shown to people: never a password in it."""

    snapshot: Mapping[str, Any]
    """Execution options under which a transaction sees one snapshot."""

    def engine(self) -> Engine:
        """Make the connection pool; called once a process."""
        ...

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold whatever must be held from before BEGIN to after COMMIT of a writer."""
        ...

    def revision(self, connection: Connection) -> str:
        """Return a string that changes when another connection has committed since."""
        ...

    def after_commit(self, connection: Connection) -> None:
        """Do the housekeeping that a commit makes due."""
        ...

    def explain(self, error: Exception) -> StoreError | None:
        """Name a driver's error, or None when it is a programming error."""
        ...

    def forked(self) -> None:
        """Drop what a forked child must not share with its parent."""
        ...


class Store:
    """The ledger of one URL, for one process. Safe to use from many threads."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._engine: Engine | None = None
        self._watch: Connection | None = None
        self._lock = threading.Lock()

    @property
    def kind(self) -> str:
        """Return `sqlite` or `postgresql`."""
        return self._backend.kind

    @property
    def url(self) -> str:
        """Return the URL without its password."""
        return self._backend.url

    @property
    def engine(self) -> Engine:
        """Return the connection pool, made at first use."""
        with self._lock:
            if self._engine is None:
                self._engine = self._backend.engine()
            return self._engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read transaction: one consistent snapshot.

        Raises:
            StoreError: The database said no; see `burnish.errors`.
        """
        with self._explained(), self.engine.connect() as connection:
            reader = connection.execution_options(**self._backend.snapshot)
            with reader.begin():
                yield reader

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a write transaction: all of it is committed, or nothing.

        Raises:
            StoreError: The database said no, and nothing was written; see `burnish.errors`.
        """
        with self._explained(), self._backend.exclusive(), self.engine.connect() as connection:
            writer = connection.execution_options(burnish_write=True)
            with writer.begin():
                yield writer
            self._backend.after_commit(writer)

    def revision(self) -> str:
        """Return a string that changes when another connection has committed.

        Raises:
            StoreError: The database cannot be reached.
        """
        with self._explained():
            engine = self.engine
            with self._lock:
                if self._watch is None:
                    self._watch = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                try:
                    return self._backend.revision(self._watch)
                except DBAPIError:
                    self._watch.invalidate()
                    self._watch.close()
                    self._watch = None
                    raise

    def ping(self) -> None:
        """Check that the database answers.

        Raises:
            StoreError: It does not.
        """
        with self.read() as connection:
            connection.execute(text("SELECT 1"))

    def require_schema(self) -> None:
        """Check that the tables are those of this release.

        Raises:
            SchemaMismatch: They are older, newer or absent.
        """
        with self.read() as connection:
            found = current_version(connection)
        if found != HEAD:
            raise SchemaMismatch(self.url, found, HEAD)

    def close(self) -> None:
        """Close every connection. The store may be used again; it reconnects."""
        with self._lock:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def forked(self) -> None:
        """Forget inherited connections in a forked child, without closing the parent's."""
        self._lock = threading.Lock()
        if self._watch is not None:
            _inherited.append(self._watch)
            self._watch = None
        if self._engine is not None:
            _inherited.append(self._engine)
            self._engine = None
        self._backend.forked()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeoutError as error:
            raise StoreUnavailable(self.url, "every connection of the pool is in use") from error
        except (DBAPIError, OSError) as error:
            named = self._backend.explain(error)
            if named is None:
                raise
            raise named from error


_inherited: list[object] = []
"""Connections of the parent process. Collecting one here would close it, which SQLite forbids a child to do."""
