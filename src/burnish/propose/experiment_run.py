"""Run the work of an experiment: whatever becomes of it, the registry knows."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from burnish.capture.checks import number
from burnish.clock import Clock
from burnish.errors import InvalidValue
from burnish.ids import IdSource
from burnish.propose import experiments
from burnish.propose.experiments import Experiment, SeedResult
from burnish.store.store import Store


class ExperimentRun:
    """An experiment under way. Safe to spend from many threads.

    Attributes:
        id: Its id in the registry, which the policies it makes name as their experiment.
        outcome: How it ended, once `finish` was called.
    """

    def __init__(self, store: Store, experiment: str, *, tenant: str, clock: Clock) -> None:
        self.id = experiment
        self.outcome: Experiment | None = None
        self._store, self._tenant, self._clock = store, tenant, clock
        self._began = clock.monotonic()
        self._cost_usd = 0.0
        self._lock = threading.Lock()

    @property
    def cost_usd(self) -> float:
        """Return what was spent so far."""
        with self._lock:
            return self._cost_usd

    def spend(self, cost_usd: float) -> None:
        """Add to what the experiment cost.

        Raises:
            InvalidValue: It is not a number of at least 0.
        """
        amount = number("cost_usd", cost_usd)
        with self._lock:
            self._cost_usd += amount

    def finish(
        self,
        *,
        policy: str | None,
        loss_before: float,
        loss_after: float,
        seeds: Sequence[SeedResult] = (),
        note: str | None = None,
    ) -> Experiment:
        """End it with a result; see `experiments.finish`. Cost and duration are those of this run.

        Raises:
            InvalidValue: A value is out of range, or it has ended already.
            StoreError: The store said no; the experiment still runs.
        """
        if self.outcome is not None:
            raise InvalidValue("experiment", self.id, f"it has {self.outcome.status} already: begin another one")
        with self._store.write() as connection:
            ended = experiments.finish(
                connection,
                self.id,
                tenant=self._tenant,
                policy=policy,
                loss_before=loss_before,
                loss_after=loss_after,
                seeds=seeds,
                cost_usd=self.cost_usd,
                duration_s=self._elapsed(),
                note=note,
                now=self._clock.now(),
            )
        self.outcome = ended
        return ended

    def fail(self, note: str) -> Experiment:
        """End it without a result; the note says why.

        Raises:
            InvalidValue: It has ended already.
            StoreError: The store said no; the experiment still runs.
        """
        with self._store.write() as connection:
            ended = experiments.fail(
                connection,
                self.id,
                tenant=self._tenant,
                note=note,
                cost_usd=self.cost_usd,
                duration_s=self._elapsed(),
                now=self._clock.now(),
            )
        self.outcome = ended
        return ended

    def _elapsed(self) -> float:
        return max(0.0, self._clock.monotonic() - self._began)


@contextmanager
def experiment(
    store: Store,
    kind: str,
    *,
    tenant: str,
    agent: str,
    task_type: str = "",
    configuration: Mapping[str, object] | None = None,
    ids: IdSource,
    clock: Clock,
) -> Iterator[ExperimentRun]:
    """Begin an experiment, run the body, and record it as failed when the body raises or ends without a result.

    What the body raises is raised on. No transaction is open while it runs.

    Raises:
        InvalidValue: There is no such kind, a name is empty, or the configuration is not JSON.
        StoreError: The store said no when the experiment was to begin, or to end without a result.
    """
    with store.write() as connection:
        begun = experiments.begin(
            connection,
            kind,
            tenant=tenant,
            agent=agent,
            task_type=task_type,
            configuration=configuration,
            ids=ids,
            now=clock.now(),
        )
    run = ExperimentRun(store, begun, tenant=tenant, clock=clock)
    try:
        yield run
    except BaseException as error:
        _note_failure(run, error)
        raise
    if run.outcome is None:
        run.fail("it ended without a result")


def _note_failure(run: ExperimentRun, error: BaseException) -> None:
    """Record why the body ended; when even that fails, the error that is raised on says so."""
    if run.outcome is not None:
        return
    try:
        run.fail(f"{type(error).__name__}: {error}")
    except Exception as second:  # noqa: BLE001 - the first error must not be hidden by the second
        error.add_note(f"experiment {run.id} still stands as running in the registry: {second}")
