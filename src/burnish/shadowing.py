"""Run candidates in shadow: after a run was scored, the same input goes through the candidate, on a thread of its own.

The host's run is over by then and is never touched: nothing waits for a shadow, and what it raises is data. Its runner
must have no side effects; that is the contract under which the host registers it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from burnish.capture.records import RunRecord
from burnish.clock import Clock
from burnish.errors import BurnishError
from burnish.score.scoring import Scored
from burnish.stats.assignment import unit_number
from burnish.store.store import Store
from burnish.trial import ledger
from burnish.trial.book import Book, Shadowing
from burnish.trial.change import Session
from burnish.trial.replay_record import ReplayItem, ReplayOutcome, Runner
from burnish.trial.shadow_pairs import Pair, add_pair, wanted

MOST_HELD = 1_000
"""Finished runs whose input is kept until they are scored; more are not shadowed."""


class _Job(msgspec.Struct, frozen=True):
    shadowing: Shadowing
    run: RunRecord
    loss: float


class ShadowRunner:
    """The shadows of one process: a bounded queue and one thread, which starts with the first pair."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        session: Callable[..., Session],
        problem: Callable[[str, str], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._session = session
        self._problem = problem
        self._runners: dict[tuple[str, str], Runner] = {}
        self.forked()

    def forked(self) -> None:
        """Start afresh in a forked child; what waits belongs to the parent."""
        self._held: OrderedDict[str, RunRecord] = OrderedDict()
        self._jobs: queue.Queue[_Job] = queue.Queue(MOST_HELD)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def register(self, tenant: str, agent: str, runner: Runner) -> None:
        """Say how an agent's task is done under a candidate."""
        self._runners[tenant, agent] = runner

    def hold(self, book: Book, run: RunRecord) -> None:
        """Keep the input of a run that ended, if a shadow wants it, before anything of it is redacted."""
        if not self._runners or (run.tenant, run.agent) not in self._runners:
            return
        view = book.view(run.tenant, run.agent, run.task_type)
        if view is None or not view.shadows:
            return
        with self._lock:
            self._held[run.id] = run
            while len(self._held) > MOST_HELD:
                self._held.popitem(last=False)

    def scored(self, book: Book, item: Scored) -> None:
        """Queue the pairs of a run that has its loss. Never waits: a full queue means that it is not shadowed."""
        with self._lock:
            run = self._held.pop(item.run.id, None)
        view = book.view(item.run.tenant, item.run.agent, item.run.task_type)
        if run is None or view is None or item.loss is None:
            return
        for shadowing in view.shadows:
            if unit_number(shadowing.id, run.id) < shadowing.plan.sample:
                with contextlib.suppress(queue.Full):
                    self._jobs.put_nowait(_Job(shadowing, run, item.loss.value))
        self._start()

    def drain(self, timeout: float | None) -> bool:
        """Wait until every queued pair is counted; False when the time was not enough."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._jobs.unfinished_tasks:
            if self._thread is None or not self._thread.is_alive():
                return False
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(0.002)
        return True

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and self._jobs.unfinished_tasks:
                self._thread = threading.Thread(target=self._work, name="burnish-shadow", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                self._pair(job)
            except BurnishError as error:
                self._problem("shadow", str(error))
            except Exception as error:  # noqa: BLE001 - a shadow must never break its host
                self._problem("shadow", repr(error))
            finally:
                self._jobs.task_done()

    def _pair(self, job: _Job) -> None:
        with self._store.read() as connection:
            opened = ledger.open_deployments(connection, [job.run.tenant])
        deployment = next((found for found in opened if found.id == job.shadowing.id), None)
        if deployment is None or not wanted(deployment):
            return
        runner = self._runners[job.run.tenant, job.run.agent]
        outcome = _run(runner, job)
        pair = Pair(run_id=job.run.id, task_type=job.run.task_type, control=job.loss, outcome=outcome)
        with self._store.write() as connection:
            add_pair(self._session(connection), deployment, pair)


def _run(runner: Runner, job: _Job) -> ReplayOutcome:
    run = job.run
    item = ReplayItem(
        id=run.id,
        task=run.task or "",
        task_type=run.task_type,
        features={name: value for name, value in run.features.items() if isinstance(value, (str, int, float, bool))},
        inputs=run.extra,
    )
    try:
        outcome = runner(job.shadowing.candidate.policy, item, 0)
    except Exception as error:  # noqa: BLE001 - what a runner raises is data
        return ReplayOutcome(loss=None, error=repr(error)[:1_000])
    if outcome.loss is not None and not 0.0 <= outcome.loss <= 1.0:
        return ReplayOutcome(loss=None, cost_usd=outcome.cost_usd, error=f"loss {outcome.loss} lies outside 0 to 1")
    return outcome
