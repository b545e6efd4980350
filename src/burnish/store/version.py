"""Which schema this release needs, and which one a store has."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

HEAD = "0003"


def current_version(connection: Connection) -> str | None:
    """Return the schema version in the store, or None when it has no tables of ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)
