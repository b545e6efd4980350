"""Count what a process captured, so that even SIGKILL leaves an exact account.

Each process keeps its counts in a small memory-mapped file. The kernel owns the page, so the numbers outlive the
process; only losing the machine loses them. What a dead process finished and neither stored, spooled nor dropped is
what its death cost: `lost`.

A process holds a lock on its file for as long as it lives. Its pid would not tell: in a container every process that
ever ran had the same one.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import struct
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

FIELDS = ("pid", "started", "finished", "stored", "spooled", "dropped")
_LAYOUT = struct.Struct("<8sQQQQQQ")
_MAGIC = b"burnish1"
KEPT_DAYS = 7.0
"""Days that the account of an ended process is kept when nothing was lost."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The account of one process, in runs."""

    process_id: str
    pid: int
    started: int = 0
    finished: int = 0
    stored: int = 0
    spooled: int = 0
    dropped: int = 0
    alive: bool = True

    @property
    def pending(self) -> int:
        """Runs finished and not yet accounted for: waiting in a live process, lost with a dead one."""
        return max(0, self.finished - self.stored - self.spooled - self.dropped)

    @property
    def lost(self) -> int:
        """Finished runs that died with their process.

        Up to one batch of them may be in the ledger after all, when the process died between commit and count.
        """
        return 0 if self.alive else self.pending


class Counters:
    """This process's counts. One thread at a time may add (the recorder holds its lock).

    Where the folder cannot be written they are kept in memory alone, and end with the process.
    """

    def __init__(self, folder: Path, process_id: str) -> None:
        self._process_id = process_id
        self._values = [os.getpid(), 0, 0, 0, 0, 0]
        first = _LAYOUT.pack(_MAGIC, *self._values)
        self._descriptor = -1
        try:
            self._map = self._shared(folder / f"{process_id}.counts", first)
        except OSError:
            self.close()
            self._map = mmap.mmap(-1, len(first))
            self._map[:] = first

    def _shared(self, path: Path, first: bytes) -> mmap.mmap:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        # Written, not only extended: on a full disk this raises, where the first touch of a hole would be fatal.
        if os.pwrite(self._descriptor, first, 0) != len(first):
            raise OSError(f"{path} could not be written")
        return mmap.mmap(self._descriptor, len(first))

    def add(self, field: str, amount: int = 1) -> None:
        """Add to one count."""
        position = FIELDS.index(field)
        self._values[position] += amount
        struct.pack_into("<Q", self._map, 8 + 8 * position, self._values[position])

    def counts(self) -> Counts:
        """Return the account so far."""
        return _account(self._process_id, self._values, alive=True)

    def close(self) -> None:
        """Let go of the file. In a forked child this leaves the parent's lock with the parent alone."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_all(folder: Path) -> list[Counts]:
    """Return the accounts of every process that used this folder, oldest first; unreadable files are passed over."""
    found = [_read(path) for path in sorted(folder.glob("*.counts"))]
    return [counts for counts in found if counts is not None]


def prune(folder: Path, older_than_days: float = KEPT_DAYS) -> int:
    """Remove the files of processes that ended long ago and lost nothing; returns how many."""
    oldest = time.time() - older_than_days * 86_400
    removed = 0
    for path in folder.glob("*.counts"):
        counts = _read(path) if _modified(path) < oldest else None
        if counts is not None and not counts.alive and counts.pending == 0:
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return math.inf


def _read(path: Path) -> Counts | None:
    try:
        with path.open("rb") as file:
            alive = _locked(file.fileno())  # asked first: the numbers of a dead process are final
            magic, *values = _LAYOUT.unpack(file.read())
    except (OSError, struct.error):
        return None
    if magic != _MAGIC:
        return None
    return _account(path.stem, values, alive=alive)


def _account(process_id: str, values: Sequence[int], *, alive: bool) -> Counts:
    pid, started, finished, stored, spooled, dropped = values
    return Counts(
        process_id=process_id,
        pid=pid,
        started=started,
        finished=finished,
        stored=stored,
        spooled=spooled,
        dropped=dropped,
        alive=alive,
    )


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
