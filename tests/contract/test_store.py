"""Both databases under the shipped contract, and what each must do beyond it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

import burnish
from burnish.errors import (
    InvalidStoreUrl,
    SchemaMismatch,
    StoreCorrupt,
    StoreError,
    StoreReadOnly,
    StoreUnavailable,
)
from burnish.store import migrate
from burnish.store.opening import open_store
from burnish.store.store import Store
from burnish.testing.store_contract import StoreContract, a_run, keep, kept, observed, run_count

ADD = """
import sys
from burnish.store.opening import open_store
from burnish.testing.store_contract import add_to_cell
store = open_store(sys.argv[1])
add_to_cell(store, 50)
store.close()
"""
OPEN = """
import sys, burnish
with burnish.open(sys.argv[1], home=sys.argv[2], strict=True) as loop:
    with loop.run() as run:
        run.outcome(success=True)
    assert loop.flush().durable
"""
AS_NOBODY = """
import os, sys, tempfile
import burnish
folder = tempfile.mkdtemp(dir=sys.argv[1])
os.chmod(folder, 0o755)
if sys.argv[2] == "used":
    burnish.open(folder).close()
burnish.open(tempfile.mkdtemp()).close()  # imports all it needs while it may
os.chmod(folder, 0o555)
if os.geteuid() == 0:  # permissions do not bind root
    os.setgid(65534)
    os.setuid(65534)
else:
    os.chmod(folder + "/burnish.db", 0o444)
try:
    burnish.open(folder)
except burnish.StoreError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def another(store: Store, store_url: str) -> Iterator[Store]:
    """A second store on the same database, as another process would have it."""
    assert store.kind in {"sqlite", "postgresql"}
    opened = open_store(store_url)
    yield opened
    opened.close()


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Store]:
    opened = open_store(postgres_url)
    migrate.upgrade(opened)
    yield opened
    opened.close()


def together(script: str, *arguments: str, processes: int = 4) -> None:
    """Run a script in several processes at once; all must succeed."""
    started = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", script, *arguments], stderr=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    failures = [errors for process in started if (errors := process.communicate(timeout=120)[1]) or process.returncode]
    assert failures == []


class TestStore(StoreContract):
    """The contract, on SQLite and on PostgreSQL."""


def test_counters_lose_nothing_to_concurrent_processes(store: Store, store_url: str) -> None:
    together(ADD, store_url)
    assert observed(store) == [(200, 200.0)]


def test_processes_that_open_an_empty_store_at_once_all_succeed(store_url: str, tmp_path: Path) -> None:
    together(OPEN, store_url, str(tmp_path / "home"))
    store = open_store(store_url)
    with store.read() as connection:
        assert run_count(connection) == 4
    store.close()


def test_a_transaction_that_began_earlier_and_commits_later_moves_the_revision_too(postgres: Store) -> None:
    with postgres.write() as early:
        early.execute(text("SELECT pg_current_xact_id()"))
        keep(postgres, a_run())
        after_the_late_one = postgres.revision()
    assert postgres.revision() != after_the_late_one


def test_what_was_committed_survives_sigkill_of_the_writer(tmp_path: Path) -> None:
    url = str(tmp_path)
    store = open_store(url)
    migrate.upgrade(store)
    script = (
        "import os, sys, signal\n"
        "from burnish.store.opening import open_store\n"
        "from burnish.testing.store_contract import a_run, keep\n"
        "store = open_store(sys.argv[1])\n"
        "keep(store, a_run(id='kept'))\n"
        "with store.write() as connection:\n"
        "    connection.exec_driver_sql(\"UPDATE runs SET agent = 'torn'\")\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, url], check=False)
    assert [run.agent for run in kept(store, "kept")] == ["coder"]
    keep(store, a_run())
    store.close()


def test_closing_twice_and_closing_unused_is_fine(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.close()
    store.ping()
    store.close()
    store.close()


@pytest.mark.parametrize(
    "url", ["mysql://host/db", "", "  ", "sqlite://", "http://example.org", "postgresql://", "a\0b"]
)
def test_a_url_that_names_no_database_is_refused_with_the_forms_that_do(url: str) -> None:
    with pytest.raises(InvalidStoreUrl, match="use a folder path"):
        open_store(url)


def test_a_port_that_is_no_number_is_a_wrong_url(tmp_path: Path) -> None:
    with pytest.raises(InvalidStoreUrl, match="is not supported"):
        burnish.open("postgresql://host:port/db", home=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_named_and_left_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "burnish.db"
    file.write_bytes(b"not a database, but somebody's notes\n" * 200)
    with pytest.raises(StoreCorrupt, match=r"burnish\.db is damaged.*backup"):
        burnish.open(str(tmp_path))
    assert file.read_bytes() == b"not a database, but somebody's notes\n" * 200


def test_damage_inside_a_store_is_named_when_it_is_met(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    migrate.upgrade(store)
    keep(store, *(a_run(task="x" * 3_000) for _ in range(200)))
    store.close()
    file = tmp_path / "burnish.db"
    content = bytearray(file.read_bytes())
    content[40_960:] = os.urandom(len(content) - 40_960)
    file.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="is damaged"), open_store(str(tmp_path)).read() as connection:
        connection.execute(text("SELECT sum(length(task)) FROM runs")).all()


def test_an_unreachable_server_is_named_soon(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"postgresql://me:\*\*\*@127\.0\.0\.1:1/db cannot be reached"):
        burnish.open("postgresql://me:secret@127.0.0.1:1/db", strict=True, home=str(tmp_path))
    assert time.monotonic() - began < 6


def test_a_wrong_password_is_never_shown(postgres: Store) -> None:
    shown = open_store(postgres.url.replace("@", ":s3cret@")).url
    assert "s3cret" not in shown
    assert "***" in shown


def test_a_database_that_does_not_exist_is_named(postgres_server: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="nowhere"):
        burnish.open(f"{postgres_server.rpartition('/')[0]}/nowhere", strict=True, home=str(tmp_path))


@pytest.mark.parametrize(("found", "shown"), [("9999", "has schema 9999"), (None, "has schema none")])
def test_tables_of_another_release_are_refused(store: Store, found: str | None, shown: str) -> None:
    with store.write() as connection:
        if found is None:
            connection.execute(text("DROP TABLE alembic_version"))
        else:
            connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": found})
    with pytest.raises(SchemaMismatch, match=f"{shown}.*burnish db upgrade"):
        store.require_schema()


@pytest.mark.parametrize("folder", ["empty", "used"])
def test_a_folder_that_may_not_be_written_is_named(folder: str) -> None:
    with tempfile.TemporaryDirectory() as base:  # pytest's own folders are closed to other users
        Path(base).chmod(0o755)
        command = [sys.executable, "-c", AS_NOBODY, base, folder]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert answer.startswith("StoreReadOnly store sqlite:///")
    assert "cannot be written" in answer
    assert "BURNISH_URL" in answer


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreReadOnly, match=r"taken.*cannot be written"):
        burnish.open(str(tmp_path / "taken"))


def test_a_postgresql_user_who_may_not_write_is_told_so(postgres: Store) -> None:
    delete = "SET TRANSACTION READ ONLY; DELETE FROM runs"
    with pytest.raises(StoreReadOnly, match="cannot be written"), postgres.write() as connection:
        connection.exec_driver_sql(delete)


def test_every_store_error_is_one_class_of_the_public_tree() -> None:
    assert {StoreCorrupt, StoreReadOnly, StoreUnavailable, SchemaMismatch, InvalidStoreUrl} <= set(
        StoreError.__subclasses__()
    )
