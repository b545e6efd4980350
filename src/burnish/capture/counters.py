"""Count what a process captured, so that even SIGKILL leaves an exact account.

Each process keeps its counts in a small memory-mapped file. The kernel owns the page, so the numbers outlive the
process; only losing the machine loses them. What a dead process finished and neither stored, spooled nor dropped is
what its death cost: `lost`.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

import msgspec

FIELDS = ("pid", "started", "finished", "stored", "spooled", "dropped")
_LAYOUT = struct.Struct("<8sQQQQQQ")
_MAGIC = b"burnish1"


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The account of one process, in runs."""

    process_id: str
    pid: int
    started: int
    finished: int
    stored: int
    spooled: int
    dropped: int

    @property
    def alive(self) -> bool:
        """Tell whether a process with this pid runs (on this machine)."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    @property
    def pending(self) -> int:
        """Runs finished and not yet accounted for: waiting in a live process, lost with a dead one."""
        return max(0, self.finished - self.stored - self.spooled - self.dropped)

    @property
    def lost(self) -> int:
        """Finished runs that died with their process."""
        return 0 if self.alive else self.pending


class Counters:
    """This process's counts. One thread at a time may add (the recorder holds its lock)."""

    def __init__(self, folder: Path, process_id: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{process_id}.counts"
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(descriptor, _LAYOUT.size)
            self._map = mmap.mmap(descriptor, _LAYOUT.size)
        finally:
            os.close(descriptor)
        self._process_id = process_id
        self._values = [os.getpid(), 0, 0, 0, 0, 0]
        _LAYOUT.pack_into(self._map, 0, _MAGIC, *self._values)

    def add(self, field: str, amount: int = 1) -> None:
        """Add to one count."""
        position = FIELDS.index(field)
        self._values[position] += amount
        struct.pack_into("<Q", self._map, 8 + 8 * position, self._values[position])

    def counts(self) -> Counts:
        """Return the account so far."""
        return Counts(process_id=self._process_id, **dict(zip(FIELDS, self._values, strict=True)))


def read_all(folder: Path) -> list[Counts]:
    """Return the accounts of every process that used this folder, oldest first; unreadable files are passed over."""
    accounts = []
    for path in sorted(folder.glob("*.counts")):
        try:
            magic, *values = _LAYOUT.unpack(path.read_bytes())
        except (OSError, struct.error):
            continue
        if magic == _MAGIC:
            accounts.append(Counts(process_id=path.stem, **dict(zip(FIELDS, values, strict=True))))
    return accounts
