"""Hold a budget on recorded worlds: realised mean cost as a multiple of the target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.routing_data import World
from benchmarks.routing_learner import Burnish
from burnish.stats.pacer import PacerState, step

SHARES = (0.3, 0.45, 0.6)
"""Targets as shares of what the same router spends when money is no object, so that each one binds."""


def budgets(world: World, seeds: int) -> list[dict[str, float]]:
    """Return one record a target: target in dollars a run, realised / target (mean, sd over seeds), quality."""
    free = float(np.mean([_paced(replace(world, price=0.0), None, seed)[0] for seed in range(seeds)]))
    records = []
    for share in SHARES:
        target = share * free
        outcomes = np.array([_paced(world, target, seed) for seed in range(seeds)])
        realised = outcomes[:, 0] / target
        records.append(
            {
                "target": target,
                "realised": float(realised.mean()),
                "realised_sd": float(realised.std(ddof=1)) if seeds > 1 else 0.0,
                "worst": float(realised[np.abs(realised - 1.0).argmax()]),
                "quality": float(outcomes[:, 1].mean()),
            }
        )
    return records


def _paced(world: World, target: float | None, seed: int) -> tuple[float, float]:
    """Return the mean cost and quality of one pass."""
    rng = np.random.default_rng(seed)
    order, uniforms = rng.permutation(len(world.quality)), rng.random(len(world.quality))
    learner, state = Burnish(world, price=0.0), PacerState()
    cost, quality = np.zeros(len(order)), np.zeros(len(order))
    for i, (task, uniform) in enumerate(zip(order, uniforms, strict=True)):
        kind = int(world.task_type[task])
        learner.price = 0.0 if target is None else state.price_per_dollar(target)
        arm = learner.choose(kind, float(uniform))
        cost[i], quality[i] = world.cost[task, arm], world.quality[task, arm]
        learner.learn(kind, arm, float(quality[i]), float(cost[i]))
        if target is not None:
            state = step(state, cost=float(cost[i]), target=target)
    return float(cost.mean()), float(quality.mean())
