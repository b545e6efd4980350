"""Moving a store between schema versions, whole or not at all.

On SQLite a migration runs inside BEGIN IMMEDIATE, on PostgreSQL under an advisory lock: a failed step is rolled back,
and of two processes that upgrade at once the second finds the work done.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from burnish.errors import InvalidValue
from burnish.store.version import HEAD, current_version

if TYPE_CHECKING:
    from alembic.config import Config

    from burnish.store.store import Store

ADVISORY_LOCK = 0x6275726E697368  # "burnish" in ASCII


def upgrade(store: Store, target: str = "head") -> str | None:
    """Move the schema up to `target`; returns the version that was there before.

    Raises:
        InvalidValue: There is no such version.
        StoreError: The database said no; nothing was changed.
    """
    return _move(store, "upgrade", target)


def downgrade(store: Store, target: str = "base") -> str | None:
    """Move the schema down to `target`; `base` removes every table. Returns the version that was there before."""
    return _move(store, "downgrade", target)


def _move(store: Store, direction: str, target: str) -> str | None:
    from alembic import command
    from alembic.util.exc import CommandError

    with store.write() as connection:
        if store.kind == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
        before = current_version(connection)
        if direction == "upgrade" and target == "head" and before == HEAD:
            return before
        try:
            getattr(command, direction)(_config(connection), target)
        except CommandError as error:
            raise InvalidValue("version", target, str(error)) from error
    return before


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
