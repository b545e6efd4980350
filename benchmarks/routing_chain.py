"""Route, check, and fall back: up to three attempts a task, everything learned from zero in the same pass.

The check is the benchmark's own test, i.e. perfect. Only first attempts feed the quality cells; attempts after a
failure feed the rescue records, for they run on tasks that another arm failed.
"""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np

from benchmarks.routing_data import World
from benchmarks.routing_learner import Burnish
from burnish.stats.fallback import (
    Attempts,
    Candidate,
    RescueRecord,
    order_until_success,
    price_of_first_attempt,
    rescue_probability,
)

ATTEMPTS = 3
SOLVED = 1.0
REPRICE_RUNS = 8
FIRST_GUESS = 0.3


class Chain:
    """A router with learned fallback on one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.router = Burnish(world, world.price)
        self.rescues: defaultdict[tuple[int, ...], Attempts] = defaultdict(Attempts)
        self.value = Attempts()

    def solve(self, task: int, uniform: float) -> tuple[bool, float]:
        """Try arms on a task until one solves it or none is worth its price; return success and total cost."""
        kind = int(self.world.task_type[task])
        tried: list[int] = []
        spent = 0.0
        arm: int | None = self.router.choose(kind, uniform)
        while arm is not None:
            quality, cost = float(self.world.quality[task, arm]), float(self.world.cost[task, arm])
            spent += cost
            self._learn(kind, arm, tried, quality, cost)
            if quality >= SOLVED:
                return True, spent
            tried.append(arm)
            arm = self._next(kind, tried) if len(tried) < ATTEMPTS else None
        return False, spent

    def reprice(self) -> None:
        """Make first attempts as cheap as the fallback behind them is good."""
        rescue_value = max(self.value.toward(FIRST_GUESS), 0.0)
        self.router.price = price_of_first_attempt(self.world.price, rescue_value)

    def _learn(self, kind: int, arm: int, tried: list[int], quality: float, cost: float) -> None:
        if not tried:
            self.router.learn(kind, arm, quality, cost)
            return
        outcome = Attempts(1.0, quality)
        self.rescues[arm,] += outcome
        for failed in tried:
            self.rescues[arm, failed] += outcome
            self.rescues[arm, failed, kind] += outcome
        self.value += Attempts(1.0, quality - self.world.price * cost)

    def _next(self, kind: int, tried: list[int]) -> int | None:
        """Return the arm with the best chance per price, given the failed arm that bodes worst for it."""
        options = {}
        for arm in set(range(len(self.world.arms))) - set(tried):
            chance = min(self._chance(arm, failed, kind) for failed in tried)
            penalty = self.world.price * float(self.router.expected_cost[kind, arm])
            options[str(arm)] = Candidate(chance, penalty)
        ordered = order_until_success(options, worth=1.0)
        return int(ordered[0]) if ordered else None

    def _chance(self, arm: int, failed: int, kind: int) -> float:
        record = RescueRecord(self.rescues[arm, failed, kind], self.rescues[arm, failed], self.rescues[arm,])
        return rescue_probability(record, min(max(float(self.router.belief.mean[kind, arm]), 0.0), 1.0))


def chains(world: World, seeds: int) -> dict[str, float]:
    """Return figures of the learned chain, and of the best fixed chain of three in hindsight."""
    single = world.best_single()
    outcomes = np.array([_pass(world.shuffled(seed), seed) for seed in range(seeds)])
    best_single = float(world.utility[:, single].mean())
    fixed = max(_fixed(world, order) for order in itertools.permutations(range(len(world.arms)), ATTEMPTS))
    utility = outcomes[:, 0]
    return {
        "price": world.price,
        "utility": float(utility.mean()),
        "se": float(utility.std(ddof=1) / seeds**0.5) if seeds > 1 else 0.0,
        "success": float(outcomes[:, 1].mean()),
        "cost": float(outcomes[:, 2].mean()),
        "success_second_half": float(outcomes[:, 3].mean()),
        "cost_second_half": float(outcomes[:, 4].mean()),
        "seeds_beating_best_single": float((utility > best_single).mean()),
        "best_single_utility": best_single,
        "best_single_success": float(world.quality[:, single].mean()),
        "best_single_cost": float(world.cost[:, single].mean()),
        "best_fixed_chain_utility": fixed,
        "gap_closed": (float(utility.mean()) - best_single) / (fixed - best_single),
    }


def _pass(world: World, seed: int) -> tuple[float, float, float, float, float]:
    """Return utility, success, cost, and success and cost of the second half."""
    rng = np.random.default_rng(seed)
    chain = Chain(world)
    solved, spent = np.zeros((2, len(world.quality)))
    for i, task in enumerate(rng.permutation(len(world.quality))):
        if i % REPRICE_RUNS == 0:
            chain.reprice()
        solved[i], spent[i] = chain.solve(int(task), float(rng.random()))
    half = len(solved) // 2
    utility = float((solved - world.price * spent).mean())
    late = float(solved[half:].mean()), float(spent[half:].mean())
    return utility, float(solved.mean()), float(spent.mean()), *late


def _fixed(world: World, order: tuple[int, ...]) -> float:
    """Return the mean utility of trying these arms in this order until one succeeds."""
    open_tasks = np.ones(len(world.quality))
    utility = np.zeros(len(world.quality))
    for arm in order:
        solves = (world.quality[:, arm] >= SOLVED) * open_tasks
        utility += solves - world.price * world.cost[:, arm] * open_tasks
        open_tasks -= solves
    return float(utility.mean())
