"""Sign the audit log now and then, into a file outside the store.

Whoever can write the store can write the whole log anew, and only something out of their reach can tell. So each
checkpoint is appended to a file that is never rewritten (keep it on another machine, in git, or in an object store
with a lock) and, for convenience, kept in the store too. Before anything is signed, the log must continue the last
checkpoint of the file.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from sqlalchemy import Connection, select

from burnish.errors import AuditBroken, InvalidValue
from burnish.govern import audit, merkle, note
from burnish.govern.note import Checkpoint, NoteSigner, Unreadable
from burnish.ids import IdSource
from burnish.store.rows import inserter
from burnish.store.schema.govern import audit_checkpoints as table, learning_audit_log
from burnish.store.store import Store

EVERY = 100
"""Events after which a checkpoint is due."""
WITHIN = timedelta(minutes=1)
"""Time after which one is due when anything was written."""
_TAIL_BYTES = 16_384


def due(size: int, now: datetime, last: Checkpoint | None, *, every: int = EVERY, within: timedelta = WITHIN) -> bool:
    """Tell whether a log of `size` events should be signed now: after so many events, or so much time with any.

    A clock that was set back counts as time that has passed.
    """
    if last is None:
        return size > 0
    return size > last.size and (size - last.size >= every or abs(now - last.at) >= within)


def write_checkpoint(
    store: Store,
    signer: NoteSigner,
    file: Path,
    *,
    ids: IdSource,
    now: datetime,
    known: merkle.Frontier | None = None,
) -> Checkpoint | None:
    """Sign the log as it is committed and append the checkpoint to the file, then to the store.

    Several processes may do so with one file; they take turns. What is signed is on disk when this returns. When the
    process is killed between the file and the store, the next call makes up for it.

    Args:
        store: The store. Must not be called inside a transaction of it: only what is committed may be signed.
        signer: Signs it.
        file: Where checkpoints are kept; made when it is not there.
        ids: Makes the id of the row.
        now: The current time.
        known: A tree over the beginning of the log, which grows in place, so that a process reads each leaf once.

    Returns:
        The checkpoint, or None when the log is empty or has not grown since the last one.

    Raises:
        AuditBroken: The log does not continue the last checkpoint of the file. Nothing was signed.
        InvalidValue: The log is damaged.
        OSError: The file cannot be written.
        StoreError: The store cannot be read or written.
    """
    with _appending(file) as opened:
        last, torn = _last(opened, file)
        with store.read() as connection:
            origin, tree = _tree(connection, store.url, last, known)
        made = None
        if origin is not None and (last is None or tree.size > last.size):
            root = tree.root()
            made = note.signed(signer, origin=origin, size=tree.size, root=root, at=now, previous=last)
            _append(opened, ("\n" if torn else "") + made.note)
        _keep(store, [found for found in (last, made) if found is not None], ids)
    return made


def read_checkpoints(file: Path) -> list[Checkpoint | Unreadable]:
    """Return all checkpoints of a file in order, and the lines that are none. Signatures are not checked.

    Raises:
        InvalidValue: The file cannot be read.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InvalidValue("checkpoints", str(file), f"it cannot be read: {error.strerror}") from error
    return _read(content, file.name)


def kept_checkpoints(connection: Connection) -> list[Checkpoint | Unreadable]:
    """Return the checkpoints that the store itself keeps, smallest first."""
    rows = connection.execute(select(table.c.size, table.c.root, table.c.note).order_by(table.c.size, table.c.id))
    return [_kept(size, root, text) for size, root, text in rows]


def _kept(size: int, root: str, text: str) -> Checkpoint | Unreadable:
    where = f"size {size} in the store"
    try:
        found = note.read(text, "in the store")
    except InvalidValue as error:
        return Unreadable(where=where, why=error.remedy)
    if (found.size, found.root.hex()) != (size, root):
        return Unreadable(where=where, why="its columns are not those of its note")
    return found


def _read(content: bytes, name: str, first: int = 1) -> list[Checkpoint | Unreadable]:
    found: list[Checkpoint | Unreadable] = []
    for start, lines in _blocks(content.decode(errors="replace").split("\n")):
        where = f"lines {first + start} to {first + start + len(lines) - 1} of {name}"
        try:
            found.append(note.read("\n".join(lines) + "\n", where))
        except InvalidValue as error:
            found.append(Unreadable(where=where, why=error.remedy))
    return found


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Cut lines into notes: one ends with its signature, and one that is damaged where the next begins."""
    block: list[str] = []
    for number, line in enumerate([*lines, ""]):
        after_signature = bool(block) and block[-1].startswith(note.SIGNATURE)
        if block and (after_signature or line.startswith(note.ORIGIN)):
            yield number - len(block), block
            block = []
        if block or line:
            block.append(line)
    if any(block):
        yield len(lines) + 1 - len(block), "\n".join(block).rstrip("\n").split("\n")


@contextmanager
def _appending(file: Path) -> Iterator[int]:
    file.parent.mkdir(parents=True, exist_ok=True)
    opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield opened
    finally:
        os.close(opened)


def _last(opened: int, file: Path) -> tuple[Checkpoint | None, bool]:
    """Return the last readable checkpoint, and whether what follows it was torn off by a crash."""
    end = os.fstat(opened).st_size
    content = os.pread(opened, _TAIL_BYTES, max(0, end - _TAIL_BYTES))
    if end > _TAIL_BYTES and not any(isinstance(found, Checkpoint) for found in _read(content, file.name)):
        content = os.pread(opened, end, 0)
    readable = [found for found in _read(content, file.name) if isinstance(found, Checkpoint)]
    last = msgspec.structs.replace(readable[-1], where=file.name) if readable else None
    return last, bool(content) and not content.endswith(b"\n")


def _append(opened: int, text: str) -> None:
    rest = text.encode()
    while rest:
        rest = rest[os.write(opened, rest) :]
    os.fsync(opened)


def _tree(
    connection: Connection, url: str, last: Checkpoint | None, known: merkle.Frontier | None
) -> tuple[str | None, merkle.Frontier]:
    """Return the origin of the log and its whole tree, which continues the last checkpoint."""
    first = connection.execute(select(learning_audit_log.c.id).where(learning_audit_log.c.seq == 1)).scalar()
    origin = None if first is None else note.ORIGIN + str(first)
    tree = known if known is not None and (last is None or known.size <= last.size) else merkle.Frontier()
    if last is not None:
        _continue(connection, url, last, origin, tree)
    tree.extend(audit.leaves(connection, tree.size))
    return origin, tree


def _continue(connection: Connection, url: str, last: Checkpoint, origin: str | None, tree: merkle.Frontier) -> None:
    if origin != last.origin:
        raise AuditBroken(url, f"{last.shown} is of another log, {last.origin}, or its first event was changed")
    present = audit.size(connection)
    if present < last.size:
        raise AuditBroken(url, f"{last.shown} was signed and there are only {present:,} events")
    tree.extend(audit.leaves(connection, tree.size, last.size))
    if tree.root() != last.root:
        raise AuditBroken(url, f"the first {last.size:,} events are not those of {last.shown}")


def _keep(store: Store, checkpoints: Sequence[Checkpoint], ids: IdSource) -> None:
    if not checkpoints:
        return
    query = select(table.c.size, table.c.root).where(table.c.size.in_([found.size for found in checkpoints]))
    with store.read() as connection:
        there = {(size, root) for size, root in connection.execute(query)}
    rows = [(ids(), c.at, c.size, c.root.hex(), c.note) for c in checkpoints if (c.size, c.root.hex()) not in there]
    if rows:
        with store.write() as connection:
            inserter(table, store.kind)(connection, rows)
