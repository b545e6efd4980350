"""Where runs wait on disk while the store is away.

One append-only file of JSON lines a process, synced before a batch counts as spooled. When the store is back, any
process drains any file it can lock: its own, and those of processes that died. Draining twice is harmless, because
the ledger ignores what it has.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from burnish.capture.records import Bundle

SUFFIX = ".jsonl"
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Bundle)


class Spool:
    """The spool folder, and this process's file in it."""

    def __init__(self, folder: Path, process_id: str) -> None:
        self._folder = folder
        self._path = folder / f"{process_id}{SUFFIX}"

    def append(self, bundles: Sequence[Bundle]) -> None:
        """Add the bundles durably.

        Raises:
            OSError: The disk is full or the folder may not be written; nothing was added.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        data = b"".join(_encoder.encode(bundle) + b"\n" for bundle in bundles)
        descriptor = self._locked()
        try:
            before = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, data)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)

    def waiting(self) -> bool:
        """Tell whether any process has left something to drain."""
        return any(path.stat().st_size > 0 for path in self._files())

    def drain(self, sink: Callable[[list[Bundle]], None], batch: int) -> int:
        """Hand every waiting bundle to `sink`, at most `batch` at a time; returns how many.

        A file is emptied only after the sink took all of it, so a sink that raises loses nothing.
        """
        return sum(_drain_file(path, sink, batch) for path in self._files())

    def _locked(self) -> int:
        """Open this process's file under its lock; again, when another process drained and removed it meanwhile."""
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink > 0:
                return descriptor
            os.close(descriptor)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{SUFFIX}"))


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _drain_file(path: Path, sink: Callable[[list[Bundle]], None], batch: int) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    with os.fdopen(descriptor, "rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        drained = 0
        for bundles in _batches(file, batch):
            sink(bundles)
            drained += len(bundles)
        file.truncate(0)
        os.fsync(file.fileno())
        path.unlink(missing_ok=True)
    return drained


def _batches(lines: Iterator[bytes], size: int) -> Iterator[list[Bundle]]:
    batch: list[Bundle] = []
    for line in lines:
        try:
            batch.append(_decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # the torn last line of a crash; it was never acknowledged
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
