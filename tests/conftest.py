"""Fixtures that every layer shares: both databases, and a loop on either."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import create_engine, text

import burnish
from burnish.store import migrate
from burnish.store.opening import open_store
from burnish.store.store import Store
from scripts.postgres import provided

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a real PostgreSQL: $BURNISH_TEST_POSTGRES, or one started for this session on loopback."""
    with provided() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """URL of an empty schema of its own."""
    schema = f"t{uuid.uuid4().hex}"
    engine = create_engine(
        postgres_server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    yield f"{postgres_server}?options=-csearch_path%3D{schema}"
    with engine.connect() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty store, once for each kind of database."""
    if request.param == "sqlite":
        return str(tmp_path / "store")
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A store with its tables, once for each kind of database."""
    opened = open_store(store_url)
    migrate.upgrade(opened)
    yield opened
    opened.close()


OpenLoop = Callable[..., burnish.Loop]


@pytest.fixture
def open_loop(tmp_path: Path) -> Iterator[OpenLoop]:
    """Open strict, seeded loops; by default on one SQLite folder. They are closed after the test."""
    opened: list[burnish.Loop] = []

    def factory(url: str | None = None, **options: object) -> burnish.Loop:
        options = {"strict": True, "seed": 1, "home": str(tmp_path / "home"), **options}
        loop = burnish.open(url or str(tmp_path / "loop"), **options)  # type: ignore[arg-type]  # options of a test
        opened.append(loop)
        return loop

    yield factory
    for loop in opened:
        loop.close()
