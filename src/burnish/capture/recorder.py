"""The bounded queue between the host and the store, and the one thread that empties it.

`put` costs microseconds, never waits and never raises. The thread takes batches off the queue and first of all redacts
them: nothing unredacted goes to the store, the spool or an event. It is done here and not in `put` because a scan costs
the host more than all of capture. When the store is away, batches go to the spool instead, and the thread tries again
with growing pauses. What cannot be kept is dropped and counted.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
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
        redact: Callable[[Bundle], Bundle],
        home: Path,
        process_id: str,
        settings: Settings,
        problem: Callable[[str, str], None],
        idle: Callable[[], None],
    ) -> None:
        self._sink = sink
        self._redact = redact
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
        self._queued = 0
        self._settled = 0
        self._hurry_until = 0
        self._lost = 0
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._closing = False
        self._pause = 0.0
        self._back_off_length = 0.0
        self._counters: Counters | None = None
        self._spool = Spool(self._home / "spool", process_id)
        self._next_drain = 0.0

    def forked(self, process_id: str) -> None:
        """Start afresh in a forked child: what waits belongs to the parent, which still has it."""
        if self._counters is not None:
            self._counters.close()
        self._reset(process_id)

    @property
    def away(self) -> bool:
        """Tell whether the store did not answer a moment ago and is left in peace for now."""
        return time.monotonic() < self._pause

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
                self._queued += 1
                self._bytes += size
                if self._thread is None:
                    self._start()
                elif len(self._queue) in {1, self._settings.batch_runs}:
                    self._wake.notify_all()
        if full:
            self._problem("queue", "a run was dropped: the queue is full or the loop is closed; see `burnish status`")
        return not full

    def flush(self, timeout: float | None = 30.0) -> Flushed:
        """Wait until everything queued before the call is written or spooled, at most `timeout` seconds.

        Called by an event handler on the writer thread, it cannot wait and returns at once.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._wake:
            target = self._hurry_until = self._queued
            while self._settled < target and self._thread not in {None, threading.current_thread()}:
                self._wake.notify_all()
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._wake.wait(left if left is None else min(left, 0.5))
            complete = self._settled >= target
            counts = self.counts()
            return Flushed(
                complete=complete,
                durable=complete and not self._lost,
                stored=counts.stored,
                spooled=counts.spooled,
                dropped=counts.dropped,
            )

    def close(self, timeout: float | None = 30.0) -> Flushed:
        """Flush, then stop the thread. Later `put`s are dropped and counted."""
        with self._lock:
            self._closing = True
            thread = self._thread
        if thread is None:
            self._work()  # what is left when no thread could be started
        done = self.flush(timeout)
        with self._wake:
            self._wake.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        return done

    def counts(self) -> Counts:
        """Return this process's account."""
        if self._counters is None:
            return Counts(process_id=self._process_id, pid=os.getpid())
        return self._counters.counts()

    def _count(self, field: str, amount: int = 1) -> None:
        if self._counters is None:
            self._counters = Counters(self._home / "processes", self._process_id)
        self._counters.add(field, amount)

    def _dropped(self, bundles: list[Bundle]) -> None:
        self._lost += len(bundles)
        self._count("dropped", _runs(bundles))

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name="burnish-writer", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # too many threads, or the interpreter is ending: close() writes what waits
            log.warning("the writer thread could not be started: %s", error)
            return
        self._thread = thread
        _close_with_process()

    def _work(self) -> None:
        while True:
            with self._wake:
                if not self._queue and self._closing:
                    return
                self._rest()
                taken = self._take()
            self._write([self._redact(bundle) for bundle, _ in taken])
            self._settle(taken)
            self._housekeeping()

    def _settle(self, taken: list[tuple[Bundle, int]]) -> None:
        with self._wake:
            self._settled += len(taken)
            self._wake.notify_all()

    def _rest(self) -> None:
        if not self._queue and not self._urgent():
            self._wake.wait(IDLE_SECONDS)
        if self._queue and not self._urgent() and len(self._queue) < self._settings.batch_runs:
            self._wake.wait(self._settings.flush_seconds)

    def _urgent(self) -> bool:
        return self._closing or self._settled < self._hurry_until

    def _take(self) -> list[tuple[Bundle, int]]:
        taken = [self._queue.popleft() for _ in range(min(len(self._queue), self._settings.batch_runs))]
        self._bytes -= sum(size for _, size in taken)
        return taken

    def _write(self, batch: list[Bundle]) -> None:
        if not batch:
            return
        if time.monotonic() < self._pause:
            self._to_spool(batch)
            return
        try:
            self._sink(batch)
        except StoreError as error:
            self._back_off(error)
            self._to_spool(batch)
        except BaseException as error:  # noqa: BLE001 - one bad record must not cost the others, nor a handler's sys.exit
            self._one_by_one(batch, error)
        else:
            self._back_off_length = 0.0
            with self._lock:
                self._count("stored", _runs(batch))

    def _one_by_one(self, batch: list[Bundle], error: BaseException) -> None:
        if len(batch) > 1:
            for bundle in batch:
                self._write([bundle])
            return
        with self._lock:
            self._dropped(batch)
        self._problem("store", f"a run was refused by the store and dropped: {error}")

    def _back_off(self, error: StoreError) -> None:
        self._back_off_length = min(max(2 * self._back_off_length, FIRST_PAUSE), LONGEST_PAUSE)
        self._pause = time.monotonic() + self._back_off_length
        self._problem("store", f"{error} (runs go to the spool until it answers)")

    def _to_spool(self, batch: list[Bundle]) -> None:
        try:
            self._spool.append(batch)
        except OSError as error:
            with self._lock:
                self._dropped(batch)
            what = f"{_runs(batch)} runs were dropped: the store is away and the spool failed"
            self._problem("spool", f"{what}: {error}; free some space in {self._home}, or choose another folder")
        except Exception as error:  # noqa: BLE001 - what cannot be encoded costs only itself
            self._each_to_spool(batch, error)
        else:
            self._next_drain = 0.0
            with self._lock:
                self._count("spooled", _runs(batch))

    def _each_to_spool(self, batch: list[Bundle], error: Exception) -> None:
        if len(batch) > 1:
            for bundle in batch:
                self._to_spool([bundle])
            return
        with self._lock:
            self._dropped(batch)
        self._problem("spool", f"a run cannot be spooled and was dropped: {error}")

    def _housekeeping(self) -> None:
        now = time.monotonic()
        if now < self._pause:
            return
        if now >= self._next_drain:
            self._next_drain = now + ORPHAN_SECONDS
            self._drain()
        try:
            self._idle()
        except Exception:
            log.exception("the writer thread goes on")

    def _drain(self) -> None:
        try:
            if self._spool.waiting():
                self.drain()
        except StoreError as error:
            self._next_drain = 0.0
            self._back_off(error)
        except BaseException as error:  # noqa: BLE001 - a damaged spool file must not stop the writer
            self._problem("spool", f"a spool file could not be drained: {error}")

    def drain(self) -> int:
        """Drain every spool file now, on the calling thread; returns how many bundles were written.

        Raises:
            StoreError: The store is still away; the spool is kept.
        """
        return self._spool.drain(self._drain_redacted, self._settings.batch_runs)

    def _drain_redacted(self, batch: list[Bundle]) -> None:
        """Redact once more what an older release, or one that could not read the policy, may have spooled."""
        self._drain_batch([self._redact(bundle) for bundle in batch])

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
        self._back_off_length = 0.0
        if threading.current_thread() is self._thread:
            self._serve_queue()

    def _serve_queue(self) -> None:
        """Between two batches of a long drain, write what the host handed over meanwhile, lest the queue overflow."""
        with self._lock:
            taken = self._take()
        self._write([self._redact(bundle) for bundle, _ in taken])
        self._settle(taken)


def _runs(batch: Sequence[Bundle]) -> int:
    return sum(1 for bundle in batch if bundle.run is not None)


_living: weakref.WeakSet[Recorder] = weakref.WeakSet()


def _close_all() -> None:
    for recorder in list(_living):
        with contextlib.suppress(Exception):
            recorder.close(timeout=5.0)


def _close_with_process() -> None:
    """Flush at the end of a multiprocessing child too, which leaves by os._exit and so runs no atexit function."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _close_all, exitpriority=0)


atexit.register(_close_all)
