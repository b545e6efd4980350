"""Whatever is done to the log or its checkpoints behind Burnish's back, verification names it; on both databases."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import bindparam, delete, insert, null, select, text, update

from burnish.clock import SystemClock
from burnish.errors import AuditBroken
from burnish.govern import audit, entry as entries, merkle
from burnish.govern.audit_report import AuditReport, verify
from burnish.govern.checkpoint import read_checkpoints, write_checkpoint
from burnish.govern.note import Checkpoint
from burnish.govern.public_keys import PublicKeys
from burnish.ids import UuidV7Source
from burnish.store.rows import inserter
from burnish.store.schema.govern import audit_checkpoints, learning_audit_log as table
from burnish.store.store import Store

NOW = datetime(2026, 11, 24, 11, 0, tzinfo=UTC)
IDS = UuidV7Source(SystemClock())
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TRUSTED = PublicKeys([PRIVATE.public_key().public_bytes_raw()])
SIZES = (4, 9, 12)
"""Where the log of 14 events was signed."""
EXAMPLES = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXTS = ("tenant", "kind", "actor", "subject", "salt", "payload_digest", "leaf", "id")
SIGN = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_audit_tampering import IDS, Signer, append
from burnish.govern.checkpoint import write_checkpoint
from burnish.store.opening import open_store

store = open_store(sys.argv[1])
for number in range(15):
    append(store, 1)
    write_checkpoint(store, Signer(), Path(sys.argv[2]), ids=IDS, now=datetime.now(UTC))
store.close()
"""


class Signer:
    """An Ed25519 key with a name."""

    name = "acme-prod"
    public = base64.b64encode(PRIVATE.public_key().public_bytes_raw()).decode()
    key_id = "sha256:" + sha256(PRIVATE.public_key().public_bytes_raw()).hexdigest()

    def sign(self, message: bytes, /) -> bytes:
        """Sign with the key of the test."""
        return PRIVATE.sign(message)


def append(store: Store, count: int) -> None:
    """Append as many events in one transaction."""
    with store.write() as connection:
        for _ in range(count):
            number = audit.size(connection)
            audit.append(
                connection,
                store.kind,
                event="policy.promoted",
                tenant="acme",
                actor="person:ann",
                subject=f"coder/{number}",
                payload={"number": number, "why": "better on replay", "gain": 0.25},
                ids=IDS,
                now=NOW + timedelta(seconds=number),
            )


def sign(store: Store, file: Path) -> Checkpoint | None:
    return write_checkpoint(store, Signer(), file, ids=IDS, now=NOW + timedelta(hours=1))


@pytest.fixture
def signed(store: Store, tmp_path: Path) -> tuple[Store, Path]:
    """A log of 14 events and its file of three checkpoints."""
    file = tmp_path / "outside" / "checkpoints.txt"
    for size in SIZES:
        with store.read() as connection:
            there = audit.size(connection)
        append(store, size - there)
        assert sign(store, file) is not None
    append(store, 14 - SIZES[-1])
    return store, file


def checked(store: Store, file: Path | None) -> AuditReport:
    found = None if file is None else read_checkpoints(file)
    return verify(store, found, TRUSTED, now=NOW + timedelta(days=1))


def words(report: AuditReport) -> list[str]:
    return [issue.what for issue in report.issues]


Rows = list[dict[str, object]]


def restored(store: Store, change: Callable[[Store], object], file: Path | None) -> AuditReport:
    """Return what verification says after a change, and put the log back as it was."""
    with store.read() as connection:
        saved = [dict(row._mapping) for row in connection.execute(select(table))]
        notes = [dict(row._mapping) for row in connection.execute(select(audit_checkpoints))]
    for row in saved:
        row["payload"] = null() if row["payload"] is None else row["payload"]
    try:
        change(store)
        return checked(store, file)
    finally:
        with store.write() as connection:
            connection.execute(delete(table))
            connection.execute(delete(audit_checkpoints))
            for row in saved:
                connection.execute(insert(table).values(row))
            connection.execute(insert(audit_checkpoints), notes)


def execute(store: Store, *statements: object) -> None:
    with store.write() as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]  # statements of a test


def at(seq: int, **values: object) -> object:
    return update(table).where(table.c.seq == seq).values(**values)


def test_an_honest_log_verifies(signed: tuple[Store, Path]) -> None:
    store, file = signed
    report = checked(store, file)
    assert words(report) == []
    assert report.summary == "14 events verified, 3 checkpoints, 0 issues"
    assert report.notes == ["events after 12 are not covered by a checkpoint yet: whether any is missing is not known"]
    with store.read() as connection:
        assert report.root == audit.root(connection).hex()


def test_a_log_with_erased_payloads_still_verifies(signed: tuple[Store, Path]) -> None:
    store, file = signed
    with store.write() as connection:
        assert audit.erase(connection, 3)
    report = checked(store, file)
    assert (words(report), report.erased, report.checkpoints) == ([], 1, 3)
    assert "1 payload erased, of event 3" in report.notes


def test_an_empty_log_has_nothing_to_sign(store: Store, tmp_path: Path) -> None:
    assert sign(store, tmp_path / "checkpoints.txt") is None
    report = checked(store, None)
    assert report.summary == "0 events verified, 0 checkpoints, 0 issues"
    assert report.root == merkle.EMPTY.hex()


@EXAMPLES
@given(st.integers(1, 14), st.sampled_from(TEXTS), st.integers(0, 500), st.integers(0, 6))
def test_a_flipped_bit_is_named_with_its_event(
    signed: tuple[Store, Path], seq: int, column: str, position: int, bit: int
) -> None:
    store, file = signed

    def change(store: Store) -> None:
        with store.read() as connection:
            before = connection.execute(select(table.c[column]).where(table.c.seq == seq)).scalar_one()
        place = position % len(before)
        flipped = chr(ord(before[place]) ^ (1 << bit))
        flipped = "\x01" if flipped == "\0" else flipped
        execute(store, at(seq, **{column: before[:place] + flipped + before[place + 1 :]}))

    report = restored(store, change, file)
    assert report.issues[0].seq == seq
    assert words(report)[0].startswith(f"event {seq} was changed: ")


@EXAMPLES
@given(
    st.integers(1, 14),
    st.sampled_from([{}, {"number": 99}, {"number": 1.5, "why": ""}, None, {"a": ["x"]}]),
    st.booleans(),
)
def test_another_payload_is_named_with_its_event(
    signed: tuple[Store, Path], seq: int, payload: dict[str, object] | None, checkpoints: bool
) -> None:
    store, file = signed
    value = null() if payload is None else payload
    report = restored(store, lambda s: execute(s, at(seq, payload=value)), file if checkpoints else None)
    how = "is gone, its salt is not" if payload is None else "does not match its digest"
    assert words(report) == [f"event {seq} was changed: its payload {how}"]


@EXAMPLES
@given(st.integers(1, 14), st.integers(-(10**6), 10**6).filter(bool))
def test_another_time_is_named_with_its_event(signed: tuple[Store, Path], seq: int, micros: int) -> None:
    store, file = signed
    moment = NOW + timedelta(seconds=seq - 1, microseconds=micros)
    report = restored(store, lambda s: execute(s, at(seq, created_at=moment)), file)
    assert words(report) == [f"event {seq} was changed: its leaf does not match"]


@EXAMPLES
@given(st.integers(1, 13), st.integers(1, 5))
def test_deleted_events_are_named(signed: tuple[Store, Path], seq: int, count: int) -> None:
    store, file = signed
    last = min(13, seq + count - 1)
    report = restored(store, lambda s: execute(s, delete(table).where(table.c.seq.between(seq, last))), file)
    gone = f"event {seq} is" if last == seq else f"events {seq} to {last} are"
    assert words(report)[0] == f"{gone} missing"


@EXAMPLES
@given(st.integers(1, 11))
def test_a_cut_off_end_is_named_by_the_checkpoint_that_saw_it(signed: tuple[Store, Path], last: int) -> None:
    store, file = signed
    report = restored(store, lambda s: execute(s, delete(table).where(table.c.seq > last)), file)
    gone = "event 12 is" if last == 11 else f"events {last + 1} and later are"
    assert words(report)[0].startswith(f"{gone} missing: the checkpoint of size 12 (lines ")
    assert words(report)[0].endswith(" was signed at 2026-11-24 12:00:00 UTC")


def test_a_cut_off_end_is_seen_by_nothing_but_a_checkpoint(signed: tuple[Store, Path]) -> None:
    store, _ = signed
    report = restored(
        store, lambda s: execute(s, delete(table).where(table.c.seq > 3), delete(audit_checkpoints)), None
    )
    assert words(report) == []
    assert any("cannot be excluded" in said for said in report.notes)


@EXAMPLES
@given(st.permutations(range(1, 15)).filter(lambda order: order != list(range(1, 15))), st.booleans())
def test_reordered_events_are_named(signed: tuple[Store, Path], order: list[int], leaves_too: bool) -> None:
    store, file = signed

    def change(store: Store) -> None:
        moved = {now: was for now, was in enumerate(order, 1) if now != was}
        with store.read() as connection:
            rows = {row.seq: dict(row._mapping) for row in connection.execute(select(table))}
        execute(store, delete(table).where(table.c.seq.in_(moved)))
        for now, was in moved.items():
            leaf = rows[was if leaves_too else now]["leaf"]
            execute(store, insert(table).values({**rows[was], "seq": now, "leaf": leaf}))

    report = restored(store, change, file)
    out = [now for now, was in enumerate(order, 1) if now != was]
    listed = ", ".join(str(seq) for seq in out[:10])
    assert words(report)[0].startswith("events ")
    assert words(report)[0].endswith(" were reordered")
    assert words(report)[0].startswith(f"events {listed}" if len(out) > 10 else f"events {listed.rpartition(', ')[0]}")


@EXAMPLES
@given(st.integers(1, 13))
def test_a_removed_event_is_seen_when_the_others_are_renumbered(signed: tuple[Store, Path], seq: int) -> None:
    store, file = signed

    def change(store: Store) -> None:
        execute(store, delete(table).where(table.c.seq == seq))
        for later in range(seq + 1, 15):
            execute(store, update(table).where(table.c.seq == later).values(seq=later - 1))

    first = words(restored(store, change, file))[0]
    assert first == f"event {seq} was event {seq + 1} when it was written: events before it were removed"


def rewrite(store: Store, start: int, skip: int | None, **changes: object) -> None:
    """Do what a forger does who knows how the log is made: all hashes anew from one event on."""
    with store.write() as connection:
        later = audit.events(connection, after=start - 1)
        connection.execute(delete(table).where(table.c.seq >= start))
        rows, seq = [], start
        for old in later:
            if old.seq == skip:
                continue
            new = msgspec.structs.replace(old, seq=seq, **(changes if seq == start else {}))
            new = msgspec.structs.replace(
                new, payload_digest=entries.digest(new.salt, entries.canonical(new.payload or {}))
            )
            leaf = new.leaf_hash().hex()
            rows.append(
                (
                    new.id,
                    new.at,
                    seq,
                    new.tenant,
                    new.event,
                    new.actor,
                    new.subject,
                    new.payload,
                    new.salt,
                    new.payload_digest,
                    leaf,
                )
            )
            seq += 1
        inserter(table, store.kind)(connection, rows)


@EXAMPLES
@given(st.integers(1, 12), st.sampled_from(["actor", "payload", "delete"]))
def test_a_log_written_anew_fits_itself_and_not_its_checkpoint(signed: tuple[Store, Path], seq: int, what: str) -> None:
    store, file = signed
    changes: dict[str, dict[str, object]] = {"actor": {"actor": "person:eve"}, "payload": {"payload": {"gain": 9}}}
    skip = seq if what == "delete" else None

    def change(store: Store) -> None:
        rewrite(store, seq, skip, **changes.get(what, {}))
        execute(store, delete(audit_checkpoints))

    alone = restored(store, change, None)
    assert words(alone) == []
    report = restored(store, change, file)
    start, end = next((low + 1, high) for low, high in zip((0, *SIZES), SIZES, strict=False) if low < seq <= high)
    said = [w for w in words(report) if "not what was signed" in w]
    if seq == 1 and what == "delete":
        assert "event 1 was exchanged" in words(report)[0]
    else:
        assert said[0].startswith(
            f"of events {start} to {end} at least one is not what was signed: the checkpoint of size {end}"
        )


@EXAMPLES
@given(st.data())
def test_no_bit_of_the_checkpoint_file_can_be_changed(signed: tuple[Store, Path], data: st.DataObject) -> None:
    store, file = signed
    good = file.read_bytes()
    raw = bytearray(good)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(raw)
    try:
        report = checked(store, file)
    finally:
        file.write_bytes(good)
    assert any(f"of {file.name}" in said or "in the file" in said or "in the store" in said for said in words(report))


@EXAMPLES
@given(st.permutations([0, 1, 2]), st.lists(st.sampled_from([0, 1, 2]), max_size=1), st.integers(0, 3))
def test_checkpoints_taken_out_put_in_or_moved_are_named(
    signed: tuple[Store, Path], order: list[int], more: list[int], keep: int
) -> None:
    store, file = signed
    good = file.read_text("utf-8")
    notes = [found.note for found in read_checkpoints(file) if isinstance(found, Checkpoint)]
    made = "".join(notes[k] for k in [*order[:keep], *more])
    file.write_text(made, "utf-8")
    try:
        report = checked(store, file)
    finally:
        file.write_text(good, "utf-8")
    assert (words(report) == []) == (made == good)


@pytest.mark.parametrize("size", SIZES)
def test_a_checkpoint_removed_from_the_store_is_named_and_the_last_one_is_put_back(
    signed: tuple[Store, Path], size: int
) -> None:
    store, file = signed
    execute(store, delete(audit_checkpoints).where(audit_checkpoints.c.size == size))
    assert len(words(checked(store, file))) == (size != SIZES[-1])
    sign(store, file)
    assert len(words(checked(store, file))) == (size != SIZES[-1])
    with store.read() as connection:
        kept = set(connection.execute(select(audit_checkpoints.c.size)).scalars())
    assert kept >= {SIZES[-1], 14}


@pytest.mark.parametrize("column", ["root", "note", "size"])
def test_a_checkpoint_changed_in_the_store_is_named(signed: tuple[Store, Path], column: str) -> None:
    store, file = signed
    value: object = 10 if column == "size" else "0" * 64
    execute(store, update(audit_checkpoints).where(audit_checkpoints.c.size == 9).values({column: value}))
    assert any(
        f"size {10 if column == 'size' else 9} in the store: no checkpoint" in said
        for said in words(checked(store, file))
    )


def test_a_checkpoint_by_an_unknown_key_is_named(signed: tuple[Store, Path]) -> None:
    store, file = signed
    report = verify(store, read_checkpoints(file), PublicKeys([]), now=NOW)
    assert report.checkpoints == 0
    assert len([said for said in words(report) if "does not count" in said and Signer.key_id in said]) == 6


@pytest.mark.parametrize("change", ["truncate", "rewrite", "other"])
def test_a_log_that_does_not_continue_its_last_checkpoint_is_not_signed(
    signed: tuple[Store, Path], change: str
) -> None:
    store, file = signed
    before = file.read_bytes()
    if change == "truncate":
        execute(store, delete(table).where(table.c.seq > 5))
    else:
        rewrite(store, 1, 1 if change == "other" else None, actor="person:eve")
    with pytest.raises(AuditBroken, match="burnish audit verify"):
        sign(store, file)
    assert file.read_bytes() == before


def test_a_checkpoint_torn_by_a_crash_is_named_and_the_next_one_follows(signed: tuple[Store, Path]) -> None:
    store, file = signed
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:50])
    made = sign(store, file)
    assert made is not None
    assert made.size == 14
    report = checked(store, file)
    assert len(words(report)) == 1
    assert "no checkpoint" in words(report)[0]
    assert report.checkpoints == 4


def test_a_tree_that_is_known_is_read_once_and_signs_the_same(signed: tuple[Store, Path]) -> None:
    store, file = signed
    known = merkle.Frontier()
    made = write_checkpoint(store, Signer(), file, ids=IDS, now=NOW, known=known)
    assert made is not None
    assert (known.size, known.root()) == (14, made.root)
    append(store, 3)
    made = write_checkpoint(store, Signer(), file, ids=IDS, now=NOW, known=known)
    with store.read() as connection:
        assert made is not None
        assert made.root == known.root() == audit.root(connection)


def test_processes_and_threads_that_sign_at_once_leave_one_chain(store: Store, store_url: str, tmp_path: Path) -> None:
    file = tmp_path / "checkpoints.txt"
    here = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    others = [
        subprocess.Popen([sys.executable, "-c", SIGN, store_url, str(file), here], env=environment) for _ in range(2)
    ]

    def work() -> None:
        for _ in range(15):
            append(store, 1)
            sign(store, file)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait(120) for other in others] == [0, 0]
    report = verify(store, read_checkpoints(file), TRUSTED, now=datetime.now(UTC))
    assert (words(report), report.notes, report.events) == ([], [], 60)
    assert report.checkpoints > 15


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("payload", "{not json"),
        ("created_at", "yesterday"),
        ("created_at", 2**62),
        ("tenant", b"\xff\xfe"),
        ("payload", "[1]"),
    ],
)
def test_what_sqlite_lets_anybody_store_is_named(tmp_path: Path, column: str, value: object) -> None:
    from burnish.store import migrate
    from burnish.store.opening import open_store

    store = open_store(str(tmp_path))
    migrate.upgrade(store)
    append(store, 3)
    cast = "CAST(:value AS TEXT)" if isinstance(value, bytes) else ":value"
    execute(
        store,
        text(f"UPDATE learning_audit_log SET {column} = {cast} WHERE seq = 2").bindparams(bindparam("value", value)),
    )
    report = checked(store, None)
    store.close()
    assert words(report)[0].startswith("event 2 was changed: ")
    assert report.events == 3


def test_events_dated_backwards_are_named(store: Store) -> None:
    append(store, 3)
    with store.write() as connection:
        about = {"event": "policy.promoted", "tenant": "acme", "actor": "person:ann", "subject": "coder"}
        for back in (timedelta(minutes=4), timedelta(minutes=10)):
            audit.append(connection, store.kind, **about, payload={}, ids=IDS, now=NOW - back)
    report = checked(store, None)
    assert [issue.seq for issue in report.issues] == [5]
    assert "dated earlier" in words(report)[0]
