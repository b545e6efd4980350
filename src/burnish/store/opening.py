"""From a URL to a store."""

from __future__ import annotations

from pathlib import Path

from burnish.errors import InvalidStoreUrl
from burnish.store.store import Store


def open_store(url: str) -> Store:
    """Return the store that a URL names; connects at first use.

    Args:
        url: A folder, `sqlite:///FILE`, or `postgresql://…` (`postgres://…` as well).

    Raises:
        InvalidStoreUrl: The URL names something else.
        MissingExtra: The database needs a driver that is not installed.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        if not url.strip() or "\0" in url:
            raise InvalidStoreUrl(url)
        from burnish.store.sqlite import SqliteBackend

        return Store(SqliteBackend(Path(url).absolute()))
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        from burnish.store.sqlite import SqliteBackend

        return Store(SqliteBackend(Path(rest[1:]).absolute()))
    if scheme in {"postgresql", "postgres", "postgresql+psycopg"} and rest:
        from sqlalchemy.exc import ArgumentError

        from burnish.store.postgres import PostgresBackend

        try:
            return Store(PostgresBackend("postgresql://" + rest))
        except (ArgumentError, ValueError) as error:
            raise InvalidStoreUrl(url) from error
    raise InvalidStoreUrl(url)
