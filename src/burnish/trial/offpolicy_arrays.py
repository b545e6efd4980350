"""Turn logged runs into the arrays that the estimator reads, as they stream in."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from burnish.errors import InvalidValue
from burnish.stats.offpolicy import LoggedChoices
from burnish.trial.offpolicy_ledger import Unreadable
from burnish.trial.offpolicy_record import LoggedOutcome, Target

MOST_CELLS = 50_000_000
"""Runs × models held at once: 400 MB a matrix."""

BLOCK = 4_096
ROUNDING = 1e-6


class Names:
    """Numbers for names, in the order in which they were first seen."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._index)

    def of(self, name: str) -> int:
        """Return the number of a name."""
        return self._index.setdefault(name, len(self._index))

    def name(self, number: int) -> str:
        """Return the name of a number."""
        return list(self._index)[number]


class Probabilities:
    """One row a run, one column a model; which models there are becomes known on the way."""

    def __init__(self, models: Names) -> None:
        self._models = models
        self._open: list[Mapping[str, float]] = []
        self._blocks: list[NDArray[np.float64]] = []

    def add(self, row: Mapping[str, float]) -> None:
        """Take in one run's distribution."""
        for model in row:
            self._models.of(model)
        self._open.append(row)
        if len(self._open) == BLOCK:
            self._close()

    def matrix(self) -> NDArray[np.float64]:
        """Return all rows, shape [N, K], and let go of them."""
        self._close()
        whole = np.zeros((sum(len(block) for block in self._blocks), len(self._models)))
        at = len(whole)
        while self._blocks:
            block = self._blocks.pop()
            at -= len(block)
            whole[at : at + len(block), : block.shape[1]] = block
        whole /= whole.sum(axis=1, keepdims=True)
        return whole

    def _close(self) -> None:
        block = np.zeros((len(self._open), len(self._models)))
        for number, row in enumerate(self._open):
            for model, probability in row.items():
                block[number, self._models.of(model)] = probability
        self._blocks.append(block)
        self._open = []


class Gathered:
    """What streamed in: outcomes, and what logging, target and baseline would each have done.

    Raises:
        InvalidValue: The target or baseline gave no distribution, or there are too many runs × models to hold.
    """

    def __init__(self, rows: Iterable[LoggedOutcome | Unreadable], target: Target, baseline: Target | None) -> None:
        self.models, self.types = Names(), Names()
        self.unscored = self.unreadable = self.read = 0
        self._arm, self._type = array("q"), array("q")
        self._loss, self._cost, self._seconds = array("d"), array("d"), array("d")
        self._logged, self._target = Probabilities(self.models), Probabilities(self.models)
        self._baseline = None if baseline is None else Probabilities(self.models)
        digest = hashlib.sha256(b"burnish off-policy\n")
        for row in rows:
            self.read += 1
            if isinstance(row, Unreadable):
                self.unreadable += 1
            elif row.loss is None:
                self.unscored += 1
            else:
                self._add(row, row.loss, target, baseline)
                digest.update(f"{row.run.id} {row.loss!r}\n".encode())
        self.data_digest = "sha256:" + digest.hexdigest()

    def __len__(self) -> int:
        """Return how many runs count."""
        return len(self._arm)

    def choices(self) -> tuple[LoggedChoices, NDArray[np.float64], NDArray[np.float64]]:
        """Return the choices with the loss as outcome, and cost and seconds of each run, NaN where not known.

        May be asked once.
        """
        loss, cost, seconds = (np.array(values) for values in (self._loss, self._cost, self._seconds))
        arm, task_type = np.array(self._arm, dtype=np.int64), np.array(self._type, dtype=np.int64)
        logged, target = self._logged.matrix(), self._target.matrix()
        baseline = None if self._baseline is None else self._baseline.matrix()
        return LoggedChoices(arm, task_type, loss, logged, target, baseline), cost, seconds

    def _add(self, row: LoggedOutcome, loss: float, target: Target, baseline: Target | None) -> None:
        self._logged.add(row.run.probabilities)
        self._target.add(_distribution("target", target(row.run)))
        if self._baseline is not None and baseline is not None:
            self._baseline.add(_distribution("baseline", baseline(row.run)))
        self._arm.append(self.models.of(row.model))
        self._type.append(self.types.of(row.run.task_type))
        self._loss.append(loss)
        self._cost.append(math.nan if row.cost_usd is None else row.cost_usd)
        self._seconds.append(math.nan if row.duration_s is None else row.duration_s)
        if len(self) * len(self.models) > MOST_CELLS:
            size = f"{len(self):,} runs × {len(self.models):,} models"
            raise InvalidValue("window", size, "narrow it: a shorter time, one task type, or a lower limit")


def _distribution(name: str, found: Mapping[str, float]) -> Mapping[str, float]:
    """Return what a policy would do, checked to be a distribution."""
    try:
        sound = min(found.values()) >= 0.0 and abs(math.fsum(found.values()) - 1.0) < ROUNDING
    except (AttributeError, TypeError, ValueError):
        sound = False
    if not sound:
        raise InvalidValue(name, found, "give each model a probability from 0 to 1, together 1")
    return found
