"""Where runs wait on disk while the store is away.

Append-only files of JSON lines, each of one process and about a megabyte, synced before a batch counts as spooled.
When the store is back, any process drains any file it can lock: its own, and those of processes that died. A drain that
breaks off begins again with the file it was at. Draining twice is harmless, because the ledger ignores what it has.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from burnish.capture.records import Bundle

SUFFIX = ".jsonl"
UNREAD = ".unread"
SEGMENT_BYTES = 1_000_000
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Bundle)
log = logging.getLogger("burnish")


class Spool:
    """The spool folder, and this process's file in it."""

    def __init__(self, folder: Path, process_id: str) -> None:
        self._folder = folder
        self._process_id = process_id
        self._segment = 0
        self._draining: Path | None = None

    def append(self, bundles: Sequence[Bundle]) -> None:
        """Add the bundles durably.

        Raises:
            OSError: The disk is full or the folder may not be written; nothing was added.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        data = b"".join(_encoder.encode(bundle) + b"\n" for bundle in bundles)
        with self._own() as descriptor:
            before = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, data)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, before)
                raise

    def waiting(self) -> bool:
        """Tell whether any process has left something to drain."""
        return any(_size(path) > 0 for path in self._files())

    def drain(self, sink: Callable[[list[Bundle]], None], batch: int) -> int:
        """Hand every waiting bundle to `sink`, at most `batch` at a time; returns how many.

        A file is emptied only after the sink took all of it, so a sink that raises loses nothing. Lines that cannot be
        read, as after a downgrade, are set aside beside it.
        """
        drained = 0
        for path in self._files():
            self._draining = path
            try:
                drained += _drain_file(path, sink, batch)
            finally:
                self._draining = None
        return drained

    @contextmanager
    def _own(self) -> Iterator[int]:
        """Open this process's file under its lock; again, when another process drained and removed it meanwhile.

        A new one is begun when it is full, or while this process itself drains it.
        """
        while True:
            path = self._folder / f"{self._process_id}-{self._segment:06d}{SUFFIX}"
            if path == self._draining:
                self._segment += 1
                continue
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            with _closing(descriptor):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                state = os.fstat(descriptor)
                if state.st_nlink > 0 and state.st_size < SEGMENT_BYTES:
                    yield descriptor
                    return
                self._segment += state.st_nlink

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{SUFFIX}"))


@contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    """Unlock and close. Closing alone would leave the lock to a child that was forked meanwhile."""
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _drain_file(path: Path, sink: Callable[[list[Bundle]], None], batch: int) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    drained = 0
    unread: list[bytes] = []
    with _closing(descriptor), os.fdopen(descriptor, "rb", closefd=False) as file:
        if not _taken(descriptor):
            return 0
        for bundles in _batches(file, batch, unread):
            sink(bundles)
            drained += len(bundles)
        _set_aside(path, unread)
        os.ftruncate(descriptor, 0)
        path.unlink()
    return drained


def _taken(descriptor: int) -> bool:
    """Lock a file that no other process holds, and that none has drained and removed since it was opened."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0


def _batches(lines: Iterator[bytes], size: int, unread: list[bytes]) -> Iterator[list[Bundle]]:
    batch: list[Bundle] = []
    for line in lines:
        try:
            batch.append(_decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            if line.endswith(b"\n"):  # else the torn last line of a crash; it was never acknowledged
                unread.append(line)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


def _set_aside(path: Path, lines: Sequence[bytes]) -> None:
    if lines:
        aside = path.with_suffix(UNREAD)
        with aside.open("ab") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        log.warning("%d spooled runs could not be read; they are kept in %s", len(lines), aside)
