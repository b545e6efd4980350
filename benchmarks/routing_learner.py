"""Run Burnish's estimators as a router: nothing here but the loop around `burnish.stats`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from benchmarks.routing_data import World
from burnish.stats.cells import CellCounts, CellPosterior, CellPrior, posterior
from burnish.stats.propensity import FLOOR, DrawnBelief, draw_belief, pick, propensities
from burnish.stats.rates import expected_rates

if TYPE_CHECKING:
    from benchmarks.routing_data import Array

REFRESH_RUNS = 4
"""Runs between two posteriors: what a batched writer does."""


class Learner(Protocol):
    """A router that sees the task type, and the outcome of the arm it chose only."""

    def choose(self, task_type: int, uniform: float) -> int:
        """Return an arm; `uniform` in [0, 1) is this run's randomness."""

    def learn(self, task_type: int, arm: int, quality: float, cost: float) -> None:
        """Take in the outcome."""


@dataclass
class Burnish:
    """Crossed cells, tempered draws, floor; `price` may be changed between runs."""

    world: World
    price: float
    floor: float = FLOOR
    prior: CellPrior = field(default_factory=CellPrior)
    counts: CellCounts = field(init=False)
    belief: CellPosterior = field(init=False)
    expected_cost: Array = field(init=False)

    def __post_init__(self) -> None:
        shape = len(self.world.arms), len(self.world.types)
        self.counts = CellCounts.empty(*shape)
        self._cost: Array = np.zeros(shape)
        self._cost_n: Array = np.zeros(shape)
        self._runs = 0
        self.refresh()

    def refresh(self) -> None:
        """Recompute the belief from the counters."""
        self.belief = posterior(self.counts, self.prior)
        self.expected_cost = expected_rates(self._cost_n, self._cost)
        self._drawn: dict[int, DrawnBelief] = {}

    def probabilities(self, task_type: int) -> Array:
        """Return the propensity vector of the next choice."""
        if task_type not in self._drawn:
            self._drawn[task_type] = draw_belief(
                self.belief.mean[task_type],
                self.belief.factor[task_type],
                noise_variance=self.belief.noise_variance,
            )
        penalty = self.price * self.expected_cost[task_type]
        return propensities(self._drawn[task_type], penalty=penalty, floor=self.floor)

    def choose(self, task_type: int, uniform: float) -> int:
        """Draw an arm from the propensity vector."""
        return pick(self.probabilities(task_type), uniform)

    def learn(self, task_type: int, arm: int, quality: float, cost: float) -> None:
        """Count the outcome; refresh every few runs."""
        self.counts.n[arm, task_type] += 1
        self.counts.total[arm, task_type] += quality
        self.counts.squares[arm, task_type] += quality * quality
        self.learn_cost(task_type, arm, cost)
        self._runs += 1
        if self._runs % REFRESH_RUNS == 0:
            self.refresh()

    def learn_cost(self, task_type: int, arm: int, cost: float) -> None:
        """Count a cost alone."""
        self._cost_n[arm, task_type] += 1
        self._cost[arm, task_type] += cost
