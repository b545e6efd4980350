"""Identifiers: UUIDv7 (RFC 9562 §5.7), so that ids sort by the time they were made."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from random import Random

from burnish.clock import Clock

IdSource = Callable[[], str]


class UuidV7Source:
    """Make UUIDv7 strings, strictly increasing within one process.

    The 12 bits after the millisecond are a counter that starts anew each millisecond and borrows from the next one
    when it overflows; the last 62 bits are random. Safe to call from any thread. After a fork the child must call
    `reseed()` (the loop does), or both processes would draw the same random bits.
    """

    def __init__(self, clock: Clock, seed: int | None = None) -> None:
        self._clock = clock
        self._seed = seed
        self._lock = threading.Lock()
        self._last = 0
        self.reseed()

    def reseed(self) -> None:
        """Draw a new random state (a seeded source starts its sequence again)."""
        self._lock = threading.Lock()
        self._random = Random(self._seed if self._seed is not None else os.urandom(16))  # noqa: S311 - ids, not secrets

    def __call__(self) -> str:
        """Return the next id, in the canonical 36-character form."""
        with self._lock:
            tick = int(self._clock.now().timestamp() * 1000) << 12
            self._last = tick = max(tick, self._last + 1)
            tail = self._random.getrandbits(62)
        head = f"{tick >> 12:012x}"
        return f"{head[:8]}-{head[8:]}-7{tick & 0xFFF:03x}-{0x8000 | tail >> 48:04x}-{tail & 0xFFFFFFFFFFFF:012x}"
