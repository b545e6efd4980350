"""Which model succeeds where another has just failed, from the attempts that were made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from burnish.learn.performance import FallbackRow
from burnish.score.scoring import TRANSPORT
from burnish.stats.fallback import Attempts, RescueRecord, rescue_probability


class Rescues:
    """Attempts after a failure, summed at every level that the estimate leans on."""

    def __init__(self, rows: Iterable[FallbackRow]) -> None:
        self._exact: dict[tuple[str, str, str, str], Attempts] = defaultdict(Attempts)
        self._pair: dict[tuple[str, str], Attempts] = defaultdict(Attempts)
        self._any: dict[str, Attempts] = defaultdict(Attempts)
        for row in rows:
            made = Attempts(row.trials, row.successes)
            self._exact[row.task_type, row.failed_model, row.failure_kind, row.next_model] += made
            if row.failure_kind not in TRANSPORT:
                self._pair[row.failed_model, row.next_model] += made
                self._any[row.next_model] += made

    def attempts_of(self, model: str) -> float:
        """Return how often a model was tried after another had failed on quality."""
        return self._any[model].tried if model in self._any else 0.0

    def probability(self, task_type: str, failed: str, kind: str, model: str, quality: float) -> float:
        """Return P(model succeeds | `failed` failed in this way on this task type).

        A transport failure says nothing about the task, so the model's own quality is the guess; a quality failure says
        that the task is hard, so its chance is learned from attempts after failures only.

        Args:
            task_type: The kind of task.
            failed: The model that failed.
            kind: How it failed.
            model: The model to try next.
            quality: Its expected quality on the type, in [0, 1].
        """
        exact = self._exact.get((task_type, failed, kind, model), NOTHING)
        if kind in TRANSPORT:
            return exact.toward(quality)
        record = RescueRecord(exact, self._pair.get((failed, model), NOTHING), self._any.get(model, NOTHING))
        return rescue_probability(record, quality)


NOTHING = Attempts()
