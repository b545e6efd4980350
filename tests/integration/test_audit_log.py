"""The audit log in both databases: written with the change or not at all, gapless under fire, provable, erasable."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import select, text, update

from burnish.clock import SystemClock
from burnish.errors import InvalidValue
from burnish.govern import audit, merkle
from burnish.ids import UuidV7Source
from burnish.store.schema.govern import learning_audit_log as table, learning_configuration
from burnish.store.store import Store

NOW = datetime(2026, 11, 24, 11, 0, tzinfo=UTC)
IDS = UuidV7Source(SystemClock())
ON_BOTH = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
APPEND = """
import sys
from datetime import UTC, datetime
from burnish.clock import SystemClock
from burnish.govern import audit
from burnish.ids import UuidV7Source
from burnish.store.opening import open_store

store, ids = open_store(sys.argv[1]), UuidV7Source(SystemClock())
for number in range(int(sys.argv[3])):
    with store.write() as connection:
        audit.append(connection, store.kind, event="test.appended", tenant="acme", actor=sys.argv[2],
                     subject=f"thing/{number}", payload={"number": number}, ids=ids, now=datetime.now(UTC))
store.close()
"""
KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from burnish.clock import SystemClock
from burnish.govern import audit, configuration
from burnish.ids import UuidV7Source
from burnish.store.opening import open_store

store, ids, now = open_store(sys.argv[1]), UuidV7Source(SystemClock()), datetime.now(UTC)
with store.write() as connection:
    configuration.put(connection, "route.floor", 0.5, tenant="acme", ids=ids, now=now)
    audit.append(connection, store.kind, event="configuration.set", tenant="acme", actor="person:ann",
                 subject="route.floor", payload={"value": 0.5}, ids=ids, now=now)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def write(store: Store, count: int = 1, **changes: object) -> int:
    """Append events as one transaction each and return the seq of the last."""
    seq = 0
    for number in range(count):
        values: dict[str, object] = {
            "event": "policy.promoted",
            "tenant": "acme",
            "actor": "person:ann",
            "subject": f"coder/{number}",
            "payload": {"number": number, "gain": 0.25},
        }
        with store.write() as connection:
            seq = audit.append(
                connection,
                store.kind,
                **{**values, **changes},  # type: ignore[arg-type]  # values of a test
                ids=IDS,
                now=NOW + timedelta(seconds=number),
            )
    return seq


def write_and_fail(store: Store) -> None:
    """Append an event in a transaction that does not get to its end."""
    with store.write() as connection:
        about = {"event": "policy.promoted", "tenant": "acme", "actor": "person:ann", "subject": "coder"}
        audit.append(connection, store.kind, **about, payload={}, ids=IDS, now=NOW)
        raise ZeroDivisionError


def test_events_are_numbered_from_one_and_read_back_as_written(store: Store) -> None:
    assert write(store, 3) == 3
    with store.read() as connection:
        found = audit.events(connection)
    assert [entry.seq for entry in found] == [1, 2, 3]
    assert found[1].at == NOW + timedelta(seconds=1)
    assert found[1].payload == {"number": 1, "gain": 0.25}
    assert all(entry.payload_fits() and entry.leaf_hash().hex() == entry.leaf for entry in found)


def test_events_are_found_by_tenant_subject_and_kind(store: Store) -> None:
    write(store, 3)
    write(store, tenant="other", event="policy.retired", subject="writer/1")
    with store.read() as connection:
        assert [e.seq for e in audit.events(connection, tenant="other")] == [4]
        assert [e.seq for e in audit.events(connection, subject="coder/1")] == [2]
        assert [e.seq for e in audit.events(connection, event="policy.promoted", after=1, limit=1)] == [2]


def test_an_event_is_gone_when_its_change_is_taken_back(store: Store) -> None:
    write(store)
    with pytest.raises(ZeroDivisionError):
        write_and_fail(store)
    assert write(store) == 2


def test_a_process_killed_before_its_commit_leaves_neither_change_nor_event(store: Store, store_url: str) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, store_url], check=False)
    assert killed.returncode == -9
    with store.read() as connection:
        assert audit.events(connection) == []
        assert connection.execute(select(learning_configuration)).all() == []
    assert write(store) == 1


def test_processes_and_threads_that_append_at_once_leave_no_gap_and_no_double(store: Store, store_url: str) -> None:
    others = [subprocess.Popen([sys.executable, "-c", APPEND, store_url, f"process:{k}", "25"]) for k in range(3)]
    threads = [threading.Thread(target=write, args=(store, 25), kwargs={"actor": f"thread:{k}"}) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait(60) for other in others] == [0, 0, 0]
    with store.read() as connection:
        found = audit.events(connection, limit=1_000)
        assert audit.tree(connection).size == 150
    assert [entry.seq for entry in found] == list(range(1, 151))
    assert {actor: sum(e.actor == actor for e in found) for actor in {e.actor for e in found}} == {
        f"{kind}:{k}": 25 for kind in ("process", "thread") for k in range(3)
    }


def test_an_erased_payload_is_gone_and_every_proof_stays_valid(store: Store) -> None:
    write(store, 6, payload={"who": "erase-me-please"})
    with store.read() as connection:
        before, proof = audit.root(connection), audit.inclusion(connection, 4, 6)
    with store.write() as connection:
        assert audit.erase(connection, 4)
    with store.write() as connection:
        assert not audit.erase(connection, 4)
        assert not audit.erase(connection, 99)
    with store.read() as connection:
        entry = audit.events(connection, after=3, limit=1)[0]
        assert audit.root(connection) == before
        raw = connection.execute(text("SELECT payload IS NULL, salt FROM learning_audit_log WHERE seq = 4")).one()
    assert (entry.payload, bool(raw[0]), raw[1]) == (None, True, "")
    assert entry.erased
    assert entry.payload_fits()
    assert merkle.verify_inclusion(entry.leaf_hash(), 3, 6, proof, before)


def test_an_erased_payload_leaves_no_bytes_in_the_file_of_sqlite(tmp_path: Path) -> None:
    from burnish.store import migrate
    from burnish.store.opening import open_store

    store = open_store(str(tmp_path))
    migrate.upgrade(store)
    write(store, 3, payload={"who": "erase-me-please"})
    for seq in (1, 2, 3):
        with store.write() as connection:
            audit.erase(connection, seq)
    with store.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    store.close()
    assert not [file for file in tmp_path.iterdir() if b"erase-me-please" in file.read_bytes()]


def test_proofs_from_the_store_satisfy_a_stranger(store: Store) -> None:
    write(store, 13)
    with store.read() as connection:
        entries = audit.events(connection)
        heads = {size: audit.root(connection, size) for size in range(14)}
        for seq, size in ((1, 1), (1, 13), (13, 13), (5, 8), (8, 9)):
            proof = audit.inclusion(connection, seq, size)
            assert merkle.verify_inclusion(entries[seq - 1].leaf_hash(), seq - 1, size, proof, heads[size])
        for old, new in ((0, 13), (1, 13), (8, 13), (13, 13), (5, 6)):
            proof = audit.consistency(connection, old, new)
            assert merkle.verify_consistency(old, new, heads[old], heads[new], proof)


def test_a_tree_that_is_known_grows_by_what_came_since(store: Store) -> None:
    write(store, 5)
    with store.read() as connection:
        known = audit.tree(connection)
    write(store, 4)
    with store.read() as connection:
        grown = audit.tree(connection, known)
        assert grown.root() == audit.root(connection) == audit.tree(connection).root()
    assert (known.size, grown.size) == (5, 9)


def test_a_proof_of_what_the_log_does_not_hold_is_refused(store: Store) -> None:
    write(store, 3)
    with store.read() as connection:
        for call, said in (
            (lambda: audit.inclusion(connection, 4, 3), "1 to 3"),
            (lambda: audit.inclusion(connection, 1, 9), "event 4.*missing"),
            (lambda: audit.consistency(connection, 5, 3), "0 to 3"),
            (lambda: audit.root(connection, 9), "event 4.*missing"),
        ):
            with pytest.raises(InvalidValue, match=said):
                call()


@pytest.mark.parametrize(("damage", "said"), [({"leaf": "zz"}, "event 2.*not a hash"), ({"seq": 9}, "event 2")])
def test_proofs_from_a_damaged_log_are_refused(store: Store, damage: dict[str, object], said: str) -> None:
    write(store, 3)
    with store.write() as connection:
        connection.execute(update(table).where(table.c.seq == 2).values(**damage))
    with store.read() as connection, pytest.raises(InvalidValue, match=said):
        audit.root(connection)


@ON_BOTH
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=[]), max_size=9),
        st.floats() | st.integers() | st.text(st.characters(exclude_categories=[]), max_size=9),
        max_size=6,
    )
)
def test_any_payload_fits_its_digest_after_both_databases_had_it(store: Store, payload: dict[str, object]) -> None:
    seq = write(store, payload=payload)
    with store.read() as connection:
        assert audit.events(connection, after=seq - 1)[0].payload_fits()


@pytest.mark.parametrize(
    "number", [1e22, -1e300, 5e-324, 1.7976931348623157e308, -0.0, 1e16, 123456789012345680.0, 0.1, math.nan, 2**64]
)
def test_numbers_that_postgresql_writes_its_own_way_still_fit(store: Store, number: float) -> None:
    write(store, payload={"number": number})
    with store.read() as connection:
        assert audit.events(connection)[0].payload_fits()


def test_a_refused_payload_writes_nothing(store: Store) -> None:
    with pytest.raises(InvalidValue, match="payload"):
        write(store, payload={"x": object()})
    with store.read() as connection:
        assert audit.size(connection) == 0
