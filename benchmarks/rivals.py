"""The routers Burnish is measured against, each given the same task type, price and observed costs."""

from __future__ import annotations

from collections import deque
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from burnish.stats.rates import expected_rates

if TYPE_CHECKING:
    from benchmarks.routing_data import Array, World

TIER_MASS = 10.0
TIER_CAP = 200.0
TIERS = (0.3, 0.5, 0.7)


class _Priced:
    """What all rivals share: the same cost estimate as Burnish."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.rng = world, np.random.default_rng(seed)
        self.shape = len(world.arms), len(world.types)
        self._runs, self._cost = np.zeros((2, *self.shape))

    def penalty(self, task_type: int) -> Array:
        """Return price × expected cost of each arm."""
        penalties: Array = self.world.price * expected_rates(self._runs, self._cost)[task_type]
        return penalties

    def learn(self, task_type: int, arm: int, quality: float, cost: float) -> None:
        """Count the cost."""
        self._runs[arm, task_type] += 1
        self._cost[arm, task_type] += cost


class Random(_Priced):
    """Every arm alike."""

    def choose(self, task_type: int, uniform: float) -> int:
        """Return any arm."""
        return int(uniform * self.shape[0])


class BetaCells(_Priced):
    """One Beta posterior per arm and type, Thompson sampling; no sharing between cells."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed)
        self.wins, self.losses = np.ones((2, *self.shape))

    def choose(self, task_type: int, uniform: float) -> int:
        """Return the arm of the best draw."""
        drawn = self.rng.beta(self.wins[:, task_type], self.losses[:, task_type])
        return int(np.argmax(drawn - self.penalty(task_type)))

    def learn(self, task_type: int, arm: int, quality: float, cost: float) -> None:
        """Count quality as a fractional win."""
        super().learn(task_type, arm, quality, cost)
        self.wins[arm, task_type] += quality
        self.losses[arm, task_type] += 1.0 - quality


class TieredCells(BetaCells):
    """The shape of LiteLLM's adaptive router: prior by price tier, mass 10, no update beyond a mass of 200.

    Scored with the common utility instead of its own .7 quality + .3 list price.
    """

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed)
        rank = world.cost.mean(axis=0).argsort().argsort()
        mean = np.array(TIERS)[rank * len(TIERS) // len(rank)]
        self.wins[:] = (mean * TIER_MASS)[:, None]
        self.losses[:] = ((1.0 - mean) * TIER_MASS)[:, None]

    def learn(self, task_type: int, arm: int, quality: float, cost: float) -> None:
        """Drop the update once the cell is full."""
        if self.wins[arm, task_type] + self.losses[arm, task_type] < TIER_CAP:
            super().learn(task_type, arm, quality, cost)
        else:
            _Priced.learn(self, task_type, arm, quality, cost)


class LinUcb(_Priced):
    """Disjoint LinUCB, α = .5, on a one-hot type and a constant."""

    alpha = 0.5

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed)
        arms, types = self.shape
        self.inverse = np.tile(np.eye(types + 1), (arms, 1, 1))
        self.evidence = np.zeros((arms, types + 1))

    def choose(self, task_type: int, uniform: float) -> int:
        """Return the arm with the highest upper bound."""
        x = self._context(task_type)
        reach = self.inverse @ x
        bound = (reach * self.evidence).sum(axis=1) + self.alpha * np.sqrt(reach @ x)
        return int(np.argmax(bound - self.penalty(task_type)))

    def learn(self, task_type: int, arm: int, quality: float, cost: float) -> None:
        """Update the chosen arm's ridge regression (Sherman-Morrison)."""
        super().learn(task_type, arm, quality, cost)
        x = self._context(task_type)
        reach = self.inverse[arm] @ x
        self.inverse[arm] -= np.outer(reach, reach) / (1.0 + reach @ x)
        self.evidence[arm] += quality * x

    def _context(self, task_type: int) -> Array:
        x = np.zeros(self.shape[1] + 1)
        x[[task_type, -1]] = 1.0
        return x


class Nearest(_Priced):
    """KNN with the type as its one feature: mean of an arm's latest 20 runs of the type, ε = .1."""

    neighbours, epsilon, unknown = 20, 0.1, 0.7

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed)
        self.latest: dict[tuple[int, int], deque[float]] = {}

    def choose(self, task_type: int, uniform: float) -> int:
        """Return the arm with the best neighbours, or any arm."""
        if uniform < self.epsilon:
            return int(uniform / self.epsilon * self.shape[0])
        seen = [self.latest.get((arm, task_type)) for arm in range(self.shape[0])]
        mean = [self.unknown if not runs else sum(runs) / len(runs) for runs in seen]
        return int(np.argmax(np.array(mean) - self.penalty(task_type)))

    def learn(self, task_type: int, arm: int, quality: float, cost: float) -> None:
        """Remember the run."""
        super().learn(task_type, arm, quality, cost)
        self.latest.setdefault((arm, task_type), deque(maxlen=self.neighbours)).append(quality)


class ParetoBandit(_Priced):
    """The bandit of the `paretobandit` package, its own code and defaults (α .01, γ .997), fed the one-hot type.

    Its router encodes prompts with a sentence encoder that these matrices have no text for.
    """

    alpha, forgetting = 0.01, 0.997

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed)
        policy = import_module("pareto_bandit").DisjointLinUCBPolicy
        names = list(world.arms)
        self.bandit = policy(
            names, dim=self.shape[1] + 1, alpha=self.alpha, forgetting_factor=self.forgetting, seed=seed
        )

    def choose(self, task_type: int, uniform: float) -> int:
        """Let the package choose."""
        penalties = dict(zip(self.world.arms, self.penalty(task_type).tolist(), strict=True))
        name, _ = self.bandit.select_arm(self._context(task_type), cost_penalties=penalties)
        self.bandit.mark_selected(name)
        return self.world.arms.index(str(name))

    def learn(self, task_type: int, arm: int, quality: float, cost: float) -> None:
        """Let the package learn."""
        super().learn(task_type, arm, quality, cost)
        self.bandit.update(self.world.arms[arm], self._context(task_type), quality, advance_time=False)

    def _context(self, task_type: int) -> Array:
        x = np.zeros(self.shape[1] + 1)
        x[[task_type, -1]] = 1.0
        return x


class ParetoBanditBold(ParetoBandit):
    """The same with α = .5, tuned in its favour for a cold start."""

    alpha = 0.5
