"""The ledger of a team: PostgreSQL 15 or newer, Supabase included."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from burnish.errors import MissingExtra, StoreError, StoreReadOnly, StoreUnavailable
from burnish.store.columns import decode_json, encode_json

CONNECT_SECONDS = 5
NOTICE_A_DEAD_NETWORK = {
    "tcp_user_timeout": 15_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
"""Else a writer would wait for a quarter of an hour on a connection whose other end is gone."""


class PostgresBackend:
    """One PostgreSQL database, through psycopg 3."""

    kind = "postgresql"
    snapshot: Mapping[str, Any] = {"isolation_level": "REPEATABLE READ"}

    def __init__(self, url: str) -> None:
        if importlib.util.find_spec("psycopg") is None:
            raise MissingExtra("psycopg", "postgres", "a postgresql:// store")
        self._url = make_url(url).set(drivername="postgresql+psycopg")
        self.url = make_url(url).render_as_string(hide_password=True)

    def engine(self) -> Engine:
        """Make the pool. Server-side prepared statements stay off, as transaction poolers need."""
        return create_engine(
            self._url,
            connect_args={
                "connect_timeout": CONNECT_SECONDS,
                "prepare_threshold": None,
                "application_name": "burnish",
                **NOTICE_A_DEAD_NETWORK,
            },
            json_serializer=encode_json,
            json_deserializer=decode_json,
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=5,
            pool_timeout=CONNECT_SECONDS,
        )

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """PostgreSQL lets writers run side by side."""
        yield

    def revision(self, connection: Connection) -> str:
        """Return the current snapshot as text.

        The whole snapshot, not its xmax: a transaction that commits after a later one moves only the list of those in
        progress.
        """
        return str(connection.exec_driver_sql("SELECT pg_current_snapshot()::text").scalar())

    def after_commit(self, connection: Connection) -> None:
        """Nothing is due: the server checkpoints by itself."""

    def explain(self, error: Exception) -> StoreError | None:
        """Name what the server or the network said."""
        if isinstance(error, DBAPIError):
            state = getattr(error.orig, "sqlstate", None)
            if state in {"25006", "42501"}:
                return StoreReadOnly(self.url, str(error.orig))
            if isinstance(error, (OperationalError, InterfaceError)) or error.connection_invalidated:
                return StoreUnavailable(self.url, str(error.orig))
            return None
        return StoreUnavailable(self.url, str(error))

    def forked(self) -> None:
        """Nothing beyond the pool is shared with the parent."""
