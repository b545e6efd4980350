"""Read the audit log for verification: every byte is suspect, and nothing found may stop the reading.

From the store, columns are read as text, because whoever changed them need not have kept to their types. From an
export, one line is one entry, written the one way that `line_of` writes it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from sqlalchemy import BigInteger, Connection, Text, cast, func, select, type_coerce

from burnish.errors import InvalidValue
from burnish.govern.entry import Damaged, Entry
from burnish.store.columns import from_micros
from burnish.store.schema.govern import learning_audit_log as table

PAGE = 1_000
LONGEST_LINE = 64 * 1024 * 1024
_ONE = msgspec.json.Decoder(Entry)


def stored(connection: Connection) -> Iterator[Entry | Damaged]:
    """Yield every entry of the store in the order of seq, in bounded memory."""
    sqlite = connection.dialect.name == "sqlite"
    at = type_coerce(table.c.created_at, BigInteger) if sqlite else table.c.created_at
    query = select(
        table.c.seq,
        table.c.id,
        cast(at, Text) if sqlite else func.to_char(func.timezone("UTC", at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        table.c.tenant,
        table.c.kind,
        table.c.actor,
        table.c.subject,
        cast(table.c.payload, Text),
        table.c.salt,
        table.c.payload_digest,
        table.c.leaf,
    ).order_by(table.c.seq)
    with (
        _any_bytes(connection),
        connection.execute(query.execution_options(stream_results=True, yield_per=PAGE)) as rows,
    ):
        for row in rows:
            yield _from_row(tuple(row), sqlite=sqlite)


def exported(file: Path) -> Iterator[Entry | Damaged]:
    """Yield every entry of an export, in the order of its lines and in bounded memory.

    Raises:
        InvalidValue: The file cannot be read.
    """
    try:
        with file.open("rb") as lines:
            while line := lines.readline(LONGEST_LINE):
                yield _from_line(line)
    except OSError as error:
        raise InvalidValue("file", str(file), f"it cannot be read: {error.strerror}") from error


def line_of(entry: Entry) -> bytes:
    """Return the line of an entry in an export."""
    return msgspec.json.encode(entry) + b"\n"


def _from_line(line: bytes) -> Entry | Damaged:
    try:
        entry = _ONE.decode(line)
        same = line_of(msgspec.structs.replace(entry, at=entry.at.astimezone(UTC))) == line
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        return Damaged(seq=None, why=f"its line in the export cannot be read ({error})")
    return entry if same else Damaged(seq=entry.seq, why="its line in the export is not as it was written")


def _from_row(row: tuple[object, ...], *, sqlite: bool) -> Entry | Damaged:
    seq, id_, at, tenant, event, actor, subject, payload, salt, payload_digest, leaf = row
    texts = (id_, at, tenant, event, actor, subject, salt, payload_digest, leaf)
    if not isinstance(seq, int):
        return Damaged(seq=None, why="its number is none")
    if not all(isinstance(text, str) for text in texts) or not isinstance(payload, (str, type(None))):
        return Damaged(seq=seq, why="a column holds what is no text")
    try:
        return Entry(
            seq=seq,
            id=str(id_),
            at=from_micros(int(str(at))) if sqlite else datetime.fromisoformat(str(at)),
            tenant=str(tenant),
            event=str(event),
            actor=str(actor),
            subject=str(subject),
            payload=_payload(payload),
            salt=str(salt),
            payload_digest=str(payload_digest),
            leaf=str(leaf),
        )
    except (ValueError, OverflowError, RecursionError, msgspec.DecodeError) as error:
        return Damaged(seq=seq, why=f"its time or payload cannot be read ({error})")


def _payload(text: str | None) -> dict[str, object] | None:
    return None if text is None else msgspec.json.decode(text, type=dict[str, object])


@contextmanager
def _any_bytes(connection: Connection) -> Iterator[None]:
    """Let SQLite hand out text that is not UTF-8, with U+FFFD in place of what is wrong, instead of an error."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        yield
        return
    driver.text_factory = lambda found: found.decode(errors="replace")
    try:
        yield
    finally:
        driver.text_factory = str
