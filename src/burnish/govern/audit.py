"""The audit log in the store: every governed change in the order it was made, and proofs about it.

An entry is written in the transaction of the change that it tells of, so that both are there or neither is. Nothing
here changes an entry but `erase`, which takes out a payload and leaves every proof valid. `burnish.govern.merkle` says
what the proofs mean, `burnish.govern.checkpoint` signs the tree where nobody who can write the store can reach it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import msgspec
from sqlalchemy import ColumnElement, Connection, func, null, select, update
from sqlalchemy.engine import Row

from burnish.errors import InvalidValue
from burnish.govern import merkle
from burnish.govern.entry import Entry, made
from burnish.ids import IdSource
from burnish.store.schema.govern import learning_audit_log as table

PAGE = 1_000
_INSERT = table.insert()
_SIZE = select(func.max(table.c.seq))
_IN_TURN = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.learning_audit_log', 0))"
"""Held to the end of the transaction, so that whoever sees entry n sees all before it, and no number is taken twice."""


def append(
    connection: Connection,
    kind: str,
    *,
    event: str,
    tenant: str,
    actor: str,
    subject: str,
    payload: Mapping[str, object],
    ids: IdSource,
    now: datetime,
) -> int:
    """Write an entry in the caller's write transaction and return its seq.

    On PostgreSQL the transaction holds the log from here to its end: call it last, or concurrent writers wait longer
    than they need to.

    Args:
        connection: A write transaction of the store.
        kind: The kind of database: `sqlite` or `postgresql`.
        event: What was done, such as `policy.promoted`; at most 100 characters.
        tenant: Whose change it is; at most 200 characters.
        actor: Who did it; at most 200 characters.
        subject: What it was done to; at most 500 characters.
        payload: The particulars; see `burnish.govern.entry.safe` for what becomes of numbers that JSON does not have.
        ids: Makes the id.
        now: The current time.

    Raises:
        InvalidValue: A text or the payload cannot be kept; names it. Nothing is written.
        StoreError: The database said no.
    """
    if kind == "postgresql":
        connection.exec_driver_sql(_IN_TURN)
    entry = made(
        seq=size(connection) + 1,
        event=event,
        tenant=tenant,
        actor=actor,
        subject=subject,
        payload=payload,
        salt=secrets.token_hex(32),
        id=ids(),
        at=now,
    )
    connection.execute(
        _INSERT,
        {
            "id": entry.id,
            "created_at": entry.at,
            "seq": entry.seq,
            "tenant": entry.tenant,
            "kind": entry.event,
            "actor": entry.actor,
            "subject": entry.subject,
            "payload": entry.payload,
            "salt": entry.salt,
            "payload_digest": entry.payload_digest,
            "leaf": entry.leaf,
        },
    )
    return entry.seq


def erase(connection: Connection, seq: int) -> bool:
    """Take out the payload of an entry for good; False when there is none.

    The salt goes with it, so that the digest that stays tells nothing. All proofs stay valid.
    """
    sqlite = connection.dialect.name == "sqlite"
    if sqlite:
        connection.exec_driver_sql("PRAGMA secure_delete=ON")  # else the bytes stay in freed pages of the file
    try:
        there = (table.c.seq == seq) & (table.c.salt != "")
        return connection.execute(update(table).where(there).values(payload=null(), salt="")).rowcount > 0
    finally:
        if sqlite:
            connection.exec_driver_sql("PRAGMA secure_delete=OFF")


def events(
    connection: Connection,
    *,
    tenant: str | None = None,
    subject: str | None = None,
    event: str | None = None,
    after: int = 0,
    limit: int = 100,
) -> list[Entry]:
    """Return entries in order, from the first whose seq is above `after`; None does not filter.

    Raises:
        InvalidValue: One is damaged.
    """
    wanted: list[ColumnElement[bool]] = [table.c.seq > after]
    for column, value in ((table.c.tenant, tenant), (table.c.subject, subject), (table.c.kind, event)):
        if value is not None:
            wanted.append(column == value)
    try:
        rows = connection.execute(select(table).where(*wanted).order_by(table.c.seq).limit(limit))
        return [_entry(row) for row in rows]
    except (msgspec.DecodeError, OverflowError) as error:
        raise _broken(after + 1, f"it, or one after it, cannot be read ({error})") from error


def size(connection: Connection) -> int:
    """Return the number of entries: the seq of the last, 0 when there is none."""
    return int(connection.execute(_SIZE).scalar() or 0)


def leaves(connection: Connection, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Return the hashes of leaves `start` to before `end` (counted from 0) as stored, in bounded memory.

    Raises:
        InvalidValue: One is missing or damaged.
    """
    wanted = [table.c.seq > start] if end is None else [table.c.seq > start, table.c.seq <= end]
    query = select(table.c.seq, table.c.leaf).where(*wanted).order_by(table.c.seq)
    expected = start
    with connection.execute(query.execution_options(stream_results=True, yield_per=PAGE)) as rows:
        for seq, leaf in rows:
            expected += 1
            if seq != expected:
                raise _broken(expected, "it is missing")
            yield _hash_of(seq, leaf)
    if end is not None and expected < end:
        raise _broken(expected + 1, "it is missing")


def tree(connection: Connection, known: merkle.Frontier | None = None) -> merkle.Frontier:
    """Return the tree over all entries. With a tree that is known already, only what came since is read.

    Raises:
        InvalidValue: The log is damaged.
    """
    grown = merkle.Frontier() if known is None else known.copy()
    grown.extend(leaves(connection, grown.size))
    return grown


def root(connection: Connection, size: int | None = None) -> bytes:
    """Return the root of the first `size` entries; of all, when that is None.

    Raises:
        InvalidValue: There are fewer, or the log is damaged.
    """
    return merkle.root(leaves(connection, 0, size))


def inclusion(connection: Connection, seq: int, size: int) -> list[bytes]:
    """Return the proof that entry `seq` is in the log of `size` entries; its leaf is number seq − 1.

    Raises:
        InvalidValue: There is no such entry in a log of that size, or the log is damaged.
    """
    try:
        return merkle.inclusion_proof(lambda start, end: merkle.root(leaves(connection, start, end)), seq - 1, size)
    except IndexError as error:
        raise InvalidValue("seq", seq, f"a log of {size} events has 1 to {size}") from error


def consistency(connection: Connection, old: int, new: int) -> list[bytes]:
    """Return the proof that the log of `new` entries begins with that of `old`.

    Raises:
        InvalidValue: The old one is longer, or the log is shorter than either or damaged.
    """
    try:
        return merkle.consistency_proof(lambda start, end: merkle.root(leaves(connection, start, end)), old, new)
    except IndexError as error:
        raise InvalidValue("old", old, f"give a size from 0 to {new}") from error


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    found = row._mapping  # noqa: SLF001 - SQLAlchemy's public name
    at = found["created_at"]
    if at is None:
        raise _broken(found["seq"], "its time cannot be read")
    return Entry(
        seq=found["seq"],
        id=found["id"],
        at=at.astimezone(UTC),
        tenant=found["tenant"],
        event=found["kind"],
        actor=found["actor"],
        subject=found["subject"],
        payload=found["payload"],
        salt=found["salt"],
        payload_digest=found["payload_digest"],
        leaf=found["leaf"],
    )


def _hash_of(seq: int, leaf: str) -> bytes:
    try:
        hashed = bytes.fromhex(leaf)
    except (ValueError, TypeError) as error:
        raise _broken(seq, "its leaf is not a hash") from error
    if len(hashed) != 32:
        raise _broken(seq, "its leaf is not a hash")
    return hashed


def _broken(seq: int, what: str) -> InvalidValue:
    return InvalidValue("audit log", f"event {seq}", f"{what}; see all that is wrong with `burnish audit verify`")
