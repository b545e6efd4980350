"""Ids that are the same on any day: a canary assigns runs by them, so the story would else depend on its date."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from burnish.ids import UuidV7Source
from burnish.testing.clock import FakeClock

FIXED = datetime(2025, 1, 1, tzinfo=UTC)
SHADOW = "burnish-shadow"
"""The thread that runs shadows draws from a source of its own: when it does is up to the machine."""


class Ids:
    """UUIDv7s of a story that began at a fixed time."""

    def __init__(self, clock: FakeClock, seed: int) -> None:
        undated = Undated(clock)
        self._main = UuidV7Source(undated, 2 * seed)
        self._shadow = UuidV7Source(undated, 2 * seed + 1)

    def __call__(self) -> str:
        """Return the next id of this thread's source."""
        return (self._shadow if threading.current_thread().name == SHADOW else self._main)()

    def reseed(self) -> None:
        """Start both sequences again, as a forked child must."""
        self._main.reseed()
        self._shadow.reseed()


class Undated:
    """The story's time, counted from a fixed start."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        """Return the time the story has come to, had it begun then."""
        return FIXED + timedelta(seconds=self._clock.monotonic())

    def monotonic(self) -> float:
        """Return the seconds that passed since the story began."""
        return self._clock.monotonic()
