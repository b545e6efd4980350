"""Migrations move a store whole or not at all, on both kinds of database."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from burnish.errors import InvalidValue, SchemaMismatch
from burnish.store import migrate
from burnish.store.opening import open_store
from burnish.store.schema import metadata
from burnish.store.store import Store
from burnish.store.verify import verify
from burnish.store.version import HEAD, current_version

UPGRADE = """
import sys
from burnish.store import migrate
from burnish.store.opening import open_store

store = open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.read()
migrate.upgrade(store)
store.close()
"""

BROKEN = '''
"""A migration that fails when most of it is done."""

import sqlalchemy as sa
from alembic import op

revision = "9998"
down_revision = "{head}"


def upgrade() -> None:
    op.create_table("half_done", sa.Column("id", sa.Integer(), primary_key=True))
    op.add_column("runs", sa.Column("half_done", sa.Text()))
    op.execute("UPDATE learning_configuration SET config_key = 'half done'")
    op.drop_table("pool_events")
    raise RuntimeError("the plug was pulled")


def downgrade() -> None:
    pass
'''


def tables(store: Store) -> set[str]:
    with store.read() as connection:
        return {*inspect(connection).get_table_names()}


def version(store: Store) -> str | None:
    with store.read() as connection:
        return current_version(connection)


def configured(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.scalars(text("SELECT config_key FROM learning_configuration")))


def configure(store: Store, key: str) -> None:
    from burnish.clock import SystemClock
    from burnish.govern import configuration
    from burnish.ids import UuidV7Source

    clock = SystemClock()
    with store.write() as connection:
        configuration.put(connection, key, 0.5, tenant="t", ids=UuidV7Source(clock), now=clock.now())


def break_next(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let this release have one more migration, which fails."""
    (folder / "9998_broken.py").write_text(BROKEN.format(head=HEAD), encoding="utf-8")
    original = migrate._config

    def extended(connection: Connection) -> Config:
        config = original(connection)
        own = Path(migrate.__file__).parent / "migrations" / "versions"
        config.set_main_option("path_separator", "os")
        config.set_main_option("version_locations", f"{own}{os.pathsep}{folder}")
        return config

    monkeypatch.setattr(migrate, "_config", extended)


def test_the_last_migration_is_the_head_this_release_asks_for() -> None:
    folder = Path(migrate.__file__).parent / "migrations"
    script = ScriptDirectory(str(folder), version_locations=[str(folder / "versions")])
    assert script.get_heads() == [HEAD]


def test_all_migrations_together_make_the_declared_schema(store: Store) -> None:
    assert version(store) == HEAD
    assert verify(store).issues == []


def test_a_downgrade_removes_every_table(store: Store) -> None:
    assert migrate.downgrade(store) == HEAD
    assert tables(store) <= {"alembic_version"}
    assert version(store) is None


def test_up_down_and_up_again_leaves_nothing_half_done(store: Store) -> None:
    for _ in range(2):
        migrate.downgrade(store)
        assert not tables(store) & set(metadata.tables)
        assert migrate.upgrade(store) is None
        assert verify(store).issues == []


def test_a_downgrade_of_an_empty_store_does_nothing(store_url: str) -> None:
    store = open_store(store_url)
    assert migrate.downgrade(store) is None
    assert not tables(store) & set(metadata.tables)
    store.close()


def test_an_upgrade_with_nothing_to_do_keeps_the_data(store: Store) -> None:
    configure(store, "route.floor")
    assert migrate.upgrade(store) == HEAD
    assert migrate.upgrade(store, HEAD) == HEAD
    assert configured(store) == ["route.floor"]


def test_a_migration_that_fails_in_the_middle_leaves_the_store_as_it_was(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configure(store, "route.floor")
    before = tables(store)
    break_next(monkeypatch, tmp_path)
    with pytest.raises(RuntimeError, match="the plug was pulled"):
        migrate.upgrade(store, "9998")
    assert tables(store) == before
    assert version(store) == HEAD
    assert configured(store) == ["route.floor"]
    assert verify(store).issues == []


def test_a_first_upgrade_that_fails_leaves_no_table(
    store_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = open_store(store_url)
    break_next(monkeypatch, tmp_path)
    with pytest.raises(RuntimeError, match="the plug was pulled"):
        migrate.upgrade(store, "9998")
    assert tables(store) == set()
    store.close()


@pytest.mark.parametrize("direction", ["upgrade", "downgrade"])
def test_a_version_that_does_not_exist_is_refused(store: Store, direction: str) -> None:
    with pytest.raises(InvalidValue, match="7777"):
        getattr(migrate, direction)(store, "7777")
    assert verify(store).issues == []


def test_a_store_without_tables_does_not_fit_this_release(store_url: str) -> None:
    store = open_store(store_url)
    with pytest.raises(SchemaMismatch, match="burnish db upgrade"):
        store.require_schema()
    store.close()


def test_processes_that_upgrade_at_once_all_succeed(store_url: str) -> None:
    command = [sys.executable, "-c", UPGRADE, store_url]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            for _ in range(3)
        ]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        assert [process.wait(60) for process in processes] == [0, 0, 0]
    store = open_store(store_url)
    assert verify(store).issues == []
    store.close()
