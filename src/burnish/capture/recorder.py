"""The bounded queue between the host and the store, and the one thread that empties it.

`put` costs microseconds, never waits and never raises. The thread writes batches; when the store is away it writes them
to the spool instead and tries again with growing pauses. What cannot be kept is dropped and counted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from burnish.capture.counters import Counters, Counts
from burnish.capture.records import Bundle
from burnish.capture.spool import Spool
from burnish.errors import StoreError
from burnish.settings import Settings

log = logging.getLogger("burnish")

Sink = Callable[[list[Bundle]], None]
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
ORPHAN_SECONDS = 30.0
IDLE_SECONDS = 0.25


class Flushed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the runs that were waiting when `flush` was called."""

    complete: bool
    """Nothing waits any more: every run is in the store, in the spool, or counted as dropped."""
    durable: bool
    """Every run of this process, up to the call, is in the store or in the spool on disk."""
    stored: int
    spooled: int
    dropped: int


class Recorder:
    """Queue, writer thread, spool and counters of one loop in one process."""

    def __init__(
        self,
        sink: Sink,
        *,
        home: Path,
        process_id: str,
        settings: Settings,
        problem: Callable[[str, str], None],
        idle: Callable[[], None],
    ) -> None:
        self._sink = sink
        self._idle = idle
        self._problem = problem
        self._settings = settings
        self._home = home
        self._reset(process_id)
        _living.add(self)

    def _reset(self, process_id: str) -> None:
        self._process_id = process_id
        self._queue: deque[tuple[Bundle, int]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._busy = False
        self._closing = False
        self._hurry = False
        self._pause = 0.0
        self._back_off_length = 0.0
        self._counters: Counters | None = None
        self._spool = Spool(self._home / "spool", process_id)
        self._next_orphan_check = 0.0

    def forked(self, process_id: str) -> None:
        """Start afresh in a forked child: what waits belongs to the parent, which still has it."""
        self._reset(process_id)

    @property
    def process_id(self) -> str:
        """Return the id under which this process counts."""
        return self._process_id

    def started(self) -> None:
        """Count a run that began."""
        with self._lock:
            self._count("started")

    def put(self, bundle: Bundle, size: int) -> bool:
        """Queue a bundle of about `size` characters; False when it had to be dropped."""
        with self._lock:
            if bundle.run is not None:
                self._count("finished")
            full = (
                len(self._queue) >= self._settings.queue_runs
                or self._bytes + size > self._settings.queue_mb * 1_000_000
                or self._closing
            )
            if full:
                self._dropped([bundle])
            else:
                self._queue.append((bundle, size))
                self._bytes += size
                waiting = len(self._queue)
                if self._thread is None:
                    self._start()
                elif waiting in {1, self._settings.batch_runs}:
                    self._wake.notify_all()
        if full:
            self._problem("queue", "a run was dropped: the queue is full or the loop is closed; see `burnish status`")
        return not full

    def flush(self, timeout: float | None = 30.0) -> Flushed:
        """Wait until everything queued before the call is written or spooled, at most `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._wake:
            before = self.counts()
            while (self._queue or self._busy) and self._thread is not None:
                self._hurry = True
                self._wake.notify_all()
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._wake.wait(left if left is None else min(left, 0.5))
            after = self.counts()
            complete = not self._queue and not self._busy
        return Flushed(
            complete=complete,
            durable=complete and after.dropped == before.dropped,
            stored=after.stored,
            spooled=after.spooled,
            dropped=after.dropped,
        )

    def close(self, timeout: float | None = 30.0) -> Flushed:
        """Flush, then stop the thread. Later `put`s are dropped and counted."""
        with self._lock:
            self._closing = True
        done = self.flush(timeout)
        with self._wake:
            thread = self._thread
            self._wake.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        return done

    def counts(self) -> Counts:
        """Return this process's account."""
        if self._counters is None:
            return Counts(
                process_id=self._process_id, pid=os.getpid(), started=0, finished=0, stored=0, spooled=0, dropped=0
            )
        return self._counters.counts()

    def _count(self, field: str, amount: int = 1) -> None:
        if self._counters is None:
            try:
                self._counters = Counters(self._home / "processes", self._process_id)
            except OSError as error:
                log.debug("counters cannot be kept in %s: %s", self._home, error)
                return
        self._counters.add(field, amount)

    def _dropped(self, bundles: list[Bundle]) -> None:
        self._count("dropped", sum(1 for bundle in bundles if bundle.run is not None))

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="burnish-writer", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while True:
            with self._wake:
                if not self._queue and self._closing:
                    return
                self._rest()
                batch = self._take()
                self._busy = bool(batch)
            if batch:
                self._write(batch)
            else:
                self._housekeeping()
            with self._wake:
                self._busy = False
                if not self._queue:
                    self._hurry = False
                self._wake.notify_all()

    def _rest(self) -> None:
        if not self._queue and not self._hurry and not self._closing:
            self._wake.wait(IDLE_SECONDS)
        if self._queue and not self._hurry and not self._closing and len(self._queue) < self._settings.batch_runs:
            self._wake.wait(self._settings.flush_seconds)

    def _take(self) -> list[Bundle]:
        batch: list[Bundle] = []
        while self._queue and len(batch) < self._settings.batch_runs:
            bundle, size = self._queue.popleft()
            self._bytes -= size
            batch.append(bundle)
        return batch

    def _write(self, batch: list[Bundle]) -> None:
        if time.monotonic() < self._pause:
            self._to_spool(batch)
            return
        try:
            self._sink(batch)
        except StoreError as error:
            self._back_off(error)
            self._to_spool(batch)
        except Exception as error:  # noqa: BLE001 - one bad record must not cost the others
            self._one_by_one(batch, error)
        else:
            self._back_off_length = 0.0
            self._stored(batch)

    def _stored(self, batch: list[Bundle]) -> None:
        with self._lock:
            self._count("stored", sum(1 for bundle in batch if bundle.run is not None))

    def _one_by_one(self, batch: list[Bundle], error: Exception) -> None:
        if len(batch) == 1:
            with self._lock:
                self._dropped(batch)
            self._problem("store", f"a run was refused by the store and dropped: {error}")
            return
        for bundle in batch:
            self._write([bundle])

    def _back_off(self, error: StoreError) -> None:
        self._back_off_length = min(max(2 * self._back_off_length, FIRST_PAUSE), LONGEST_PAUSE)
        self._pause = time.monotonic() + self._back_off_length
        self._problem("store", f"{error} (runs go to the spool until it answers)")

    def _to_spool(self, batch: list[Bundle]) -> None:
        runs = sum(1 for bundle in batch if bundle.run is not None)
        try:
            self._spool.append(batch)
        except OSError as error:
            with self._lock:
                self._dropped(batch)
            self._problem("spool", f"{runs} runs were dropped: the store is away and the spool failed: {error}")
        else:
            with self._lock:
                self._count("spooled", runs)

    def _housekeeping(self) -> None:
        now = time.monotonic()
        if now < self._pause:
            return
        if now >= self._next_orphan_check or self._back_off_length:
            self._next_orphan_check = now + ORPHAN_SECONDS
            self._drain()
        self._idle()

    def _drain(self) -> None:
        try:
            if self._spool.waiting():
                self.drain()
        except StoreError as error:
            self._back_off(error)
        except Exception as error:  # noqa: BLE001 - a damaged spool file must not stop the writer
            self._problem("spool", f"a spool file could not be drained: {error}")
        else:
            self._back_off_length = 0.0

    def drain(self) -> int:
        """Drain every spool file now, on the calling thread; returns how many bundles were written.

        Raises:
            StoreError: The store is still away; the spool is kept.
        """
        return self._spool.drain(self._drain_batch, self._settings.batch_runs)

    def _drain_batch(self, batch: list[Bundle]) -> None:
        try:
            self._sink(batch)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - one bad record must not hold up the spool
            if len(batch) == 1:
                self._problem("store", f"a spooled run was refused by the store and dropped: {error}")
                return
            for bundle in batch:
                self._drain_batch([bundle])


_living: weakref.WeakSet[Recorder] = weakref.WeakSet()


def _close_all() -> None:
    for recorder in list(_living):
        with contextlib.suppress(Exception):
            recorder.close(timeout=5.0)


def _register() -> None:
    import atexit

    atexit.register(_close_all)


_register()
