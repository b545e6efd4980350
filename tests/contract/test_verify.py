"""`verify` finds every way in which a database may differ from the declared schema, on both kinds of database."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.schema import CreateTable

from burnish.store import migrate
from burnish.store.opening import open_store
from burnish.store.schema import metadata
from burnish.store.store import Store
from burnish.store.verify import Issue, verify
from burnish.store.version import HEAD

CHANGES = {
    "table gone": ("missing table pool_events", "DROP TABLE pool_events"),
    "table renamed": ("missing table gates", "ALTER TABLE gates RENAME TO gates_old"),
    "column gone": ("missing column gates.reason", "ALTER TABLE gates DROP COLUMN reason"),
    "column renamed": ("missing column gates.reason", "ALTER TABLE gates RENAME COLUMN reason TO why"),
    "column added": ("extra column runs.mood", "ALTER TABLE runs ADD COLUMN mood TEXT"),
    "index gone": ("missing index runs.ix_runs_parent_id", "DROP INDEX ix_runs_parent_id"),
    "index on other columns": (
        "changed index calls.ix_calls_run_id",
        "DROP INDEX ix_calls_run_id; CREATE INDEX ix_calls_run_id ON calls (tenant)",
    ),
    "index turned unique": (
        "changed index calls.ix_calls_run_id",
        "DROP INDEX ix_calls_run_id; CREATE UNIQUE INDEX ix_calls_run_id ON calls (run_id)",
    ),
    "index turned partial": (
        "changed index calls.ix_calls_run_id",
        "DROP INDEX ix_calls_run_id; CREATE INDEX ix_calls_run_id ON calls (run_id) WHERE seq > 0",
    ),
    "index added": ("extra index gates.ix_gates_name", "CREATE INDEX ix_gates_name ON gates (name)"),
    "unique index added": ("extra index gates.one_a_run", "CREATE UNIQUE INDEX one_a_run ON gates (run_id)"),
}
"""What differs, the issue it must cause, and the SQL that plants it on either database."""

REBUILT = {
    "type changed": ("changed column gates.passed", "passed BOOLEAN", "passed INTEGER"),
    "length changed": ("changed column gates.name", "name VARCHAR(200)", "name VARCHAR(20)"),
    "may be null": ("changed column gates.run_id", "run_id VARCHAR(36) NOT NULL", "run_id VARCHAR(36)"),
    "may not be null": ("changed column gates.reason", "reason TEXT", "reason TEXT NOT NULL"),
    "default added": ("changed column gates.reason", "reason TEXT", "reason TEXT DEFAULT 'none'"),
    "primary key gone": ("missing constraint gates.pk_gates", ", CONSTRAINT pk_gates PRIMARY KEY (id)", ""),
    "primary key changed": ("changed constraint gates.pk_gates", "PRIMARY KEY (id)", "PRIMARY KEY (id, name)"),
    "check gone": (
        "missing constraint gates.ck_gates_score_range",
        ", CONSTRAINT ck_gates_score_range CHECK (score >= 0 AND score <= 1)",
        "",
    ),
    "check changed": ("changed constraint gates.ck_gates_score_range", "score <= 1)", "score <= 10)"),
    "check added": (
        "extra constraint gates.ck_gates_named",
        "CONSTRAINT pk_gates",
        "CONSTRAINT ck_gates_named CHECK (name <> ''), CONSTRAINT pk_gates",
    ),
    "unique added": (
        "extra constraint gates.uq_gates_name",
        "CONSTRAINT pk_gates",
        "CONSTRAINT uq_gates_name UNIQUE (name), CONSTRAINT pk_gates",
    ),
    "foreign key added": (
        "extra constraint gates.fk_gates_run",
        "CONSTRAINT pk_gates",
        "CONSTRAINT fk_gates_run FOREIGN KEY (run_id) REFERENCES runs (id), CONSTRAINT pk_gates",
    ),
    "unique gone": (
        "missing constraint conversations.uq_conversations_tenant_key",
        ", CONSTRAINT uq_conversations_tenant_key UNIQUE (tenant, key)",
        "",
    ),
    "unique changed": (
        "changed constraint conversations.uq_conversations_tenant_key",
        "UNIQUE (tenant, key)",
        "UNIQUE (tenant)",
    ),
}
"""What differs, the issue it must cause, and the words of the table's definition that are exchanged."""


def issues(store: Store) -> Mapping[str, Issue]:
    return {issue.what: issue for issue in verify(store).issues}


def execute(store: Store, statements: Sequence[str]) -> None:
    with store.write() as connection:
        for statement in statements:
            connection.execute(text(statement))


def rebuild(store: Store, table: str, words: str, others: str) -> None:
    """Make one table anew from its definition, with some words of it exchanged."""
    sql = str(CreateTable(metadata.tables[table]).compile(dialect=store.engine.dialect)).replace('"', "")
    plain = " ".join(sql.split()).replace("( ", "(").replace(" )", ")")
    changed = plain.replace(words, others)
    assert changed != plain, plain
    execute(store, [f"DROP TABLE {table}", changed])
    with store.write() as connection:
        for index in metadata.tables[table].indexes:
            index.create(connection)


def test_a_fresh_store_has_no_issues(store: Store) -> None:
    found = verify(store)
    assert found.issues == []
    assert found.summary == f"{len(metadata.tables)} tables verified. 0 issues found."
    assert found.version == HEAD


@pytest.mark.parametrize("name", CHANGES)
def test_a_planted_difference_is_found(store: Store, name: str) -> None:
    what, sql = CHANGES[name]
    execute(store, sql.split("; "))
    found = issues(store)
    assert what in found
    assert found[what].remedy
    assert len(found) <= 2


@pytest.mark.parametrize("name", REBUILT)
def test_a_planted_difference_in_a_definition_is_found(store: Store, name: str) -> None:
    what, words, others = REBUILT[name]
    rebuild(store, what.split()[2].partition(".")[0], words, others)
    assert what in issues(store)


@pytest.mark.parametrize("table", ["gates", "conversations"])
def test_a_table_made_anew_as_declared_is_no_difference(store: Store, table: str) -> None:
    rebuild(store, table, "CREATE TABLE", "CREATE  TABLE")
    assert issues(store) == {}


def test_tables_of_others_are_left_alone(store: Store) -> None:
    execute(
        store,
        [
            "CREATE TABLE invoices (id INTEGER PRIMARY KEY, total TEXT CHECK (total <> ''))",
            "CREATE INDEX ix_runs_of_theirs ON invoices (total)",
            "CREATE VIEW recent AS SELECT id FROM runs",
        ],
    )
    assert issues(store) == {}


def test_an_empty_store_is_told_to_upgrade(store_url: str) -> None:
    store = open_store(store_url)
    found = verify(store)
    store.close()
    assert found.version is None
    assert found.issues[0].what == "schema version"
    assert "burnish db upgrade" in found.issues[0].remedy
    assert {issue.what for issue in found.issues[1:]} == {f"missing table {name}" for name in metadata.tables}


def test_a_store_of_a_later_release_is_told_apart(store: Store) -> None:
    execute(store, ["UPDATE alembic_version SET version_num = '9999'"])
    found = issues(store)
    assert (found["schema version"].found, found["schema version"].declared) == ("9999", HEAD)
    assert "install the release" in found["schema version"].remedy


def test_the_same_schema_spelled_otherwise_is_no_difference(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    migrate.upgrade(store)
    execute(
        store,
        [
            "DROP TABLE gates",
            """create table [gates] ( -- by hand
                "id" varchar(36) NOT  NULL, `created_at` BIGINT not null, tenant VARCHAR( 200 ) NOT NULL,
                run_id VARCHAR(36) NOT NULL, name VARCHAR(200) NOT NULL, passed BOOLEAN NOT NULL,
                score FLOAT NOT NULL, reason TEXT, /* all of it */
                CONSTRAINT ck_gates_score_range CHECK (score>=0 AND score<=1),
                CONSTRAINT pk_gates PRIMARY KEY (id) )""",
            'create index "ix_gates_run_id" on "gates"("run_id")',
        ],
    )
    found = issues(store)
    store.close()
    assert found == {}


def test_damage_in_the_file_is_an_issue(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    migrate.upgrade(store)
    store.close()
    raw = sqlite3.connect(tmp_path / "burnish.db")
    raw.execute("PRAGMA writable_schema = ON")
    raw.execute("DELETE FROM sqlite_master WHERE name = 'ix_gates_run_id'")
    raw.commit()
    raw.close()
    found = issues(store)
    store.close()
    assert "missing index gates.ix_gates_run_id" in found
    assert "damage" in found
