"""Replay routers on recorded worlds: cold start, random order, feedback of the chosen arm only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from benchmarks.rivals import BetaCells, LinUcb, Nearest, ParetoBandit, ParetoBanditBold, Random, TieredCells
from benchmarks.routing_data import World
from benchmarks.routing_learner import Burnish, Learner

Maker: TypeAlias = Callable[[World, int], Learner]
Figures: TypeAlias = dict[str, float]


def burnish(world: World, seed: int) -> Learner:
    return Burnish(world, world.price)


def burnish_no_floor(world: World, seed: int) -> Learner:
    return Burnish(world, world.price, floor=0.0)


ROUTERS: dict[str, Maker] = {
    "Burnish": burnish,
    "Burnish, no floor": burnish_no_floor,
    "Beta cells (TS)": BetaCells,
    "LiteLLM-style cells": TieredCells,
    "LinUCB, disjoint": LinUcb,
    "kNN on type": Nearest,
    "ParetoBandit": ParetoBandit,
    "ParetoBandit, α .5": ParetoBanditBold,
    "random": Random,
}


def replay(world: World, learner: Learner, seed: int) -> tuple[Figures, float]:
    """Return mean quality, cost and utility of one pass over all tasks, and the utility of its second half."""
    rng = np.random.default_rng(seed)
    order, uniforms = rng.permutation(len(world.quality)), rng.random(len(world.quality))
    chosen = np.empty(len(order), dtype=np.int64)
    for i, (task, uniform) in enumerate(zip(order, uniforms, strict=True)):
        kind = int(world.task_type[task])
        arm = chosen[i] = learner.choose(kind, float(uniform))
        learner.learn(kind, int(arm), float(world.quality[task, arm]), float(world.cost[task, arm]))
    utility = world.utility[order, chosen]
    figures = {
        "quality": float(world.quality[order, chosen].mean()),
        "cost": float(world.cost[order, chosen].mean()),
        "utility": float(utility.mean()),
    }
    return figures, float(utility[len(utility) // 2 :].mean())


def references(world: World) -> dict[str, Figures]:
    """Return the three policies that know the answers: best single arm, best arm a type, best arm a task."""
    rows = np.arange(len(world.quality))
    picks = {
        "best single (hindsight)": np.full(len(rows), world.best_single()),
        "type oracle": world.type_oracle()[world.task_type],
        "task oracle": world.utility.argmax(axis=1),
    }
    return {
        name: {
            "quality": float(world.quality[rows, arm].mean()),
            "cost": float(world.cost[rows, arm].mean()),
            "utility": float(world.utility[rows, arm].mean()),
        }
        for name, arm in picks.items()
    }


def compare(world: World, routers: dict[str, Maker], seeds: int, first: int = 0) -> dict[str, Figures]:
    """Return the figures of every router, mean and standard error over seeds, and those of the references.

    Regrets are sums over the pass: `regret_type` to the type oracle, `regret_task` to the task oracle.
    """
    known = references(world)
    runs = len(world.quality)
    results = {name: _with_regret(figures, known, runs) for name, figures in known.items()}
    for name, make in routers.items():
        outcomes = [_fresh(world.shuffled(seed), make, seed) for seed in range(first, first + seeds)]
        mean = {key: float(np.mean([o[0][key] for o in outcomes])) for key in ("quality", "cost", "utility")}
        results[name] = _with_regret(mean, known, runs)
        utility = np.array([o[0]["utility"] for o in outcomes])
        results[name]["se_quality"] = _standard_error([o[0]["quality"] for o in outcomes])
        results[name]["se_regret"] = runs * _standard_error(utility.tolist())
        results[name]["utility_second_half"] = float(np.mean([o[1] for o in outcomes]))
        results[name]["beats_best_single"] = float((utility > known["best single (hindsight)"]["utility"]).mean())
    return results


def _fresh(world: World, make: Maker, seed: int) -> tuple[Figures, float]:
    return replay(world, make(world, seed), seed)


def _with_regret(figures: Figures, known: dict[str, Figures], runs: int) -> Figures:
    return figures | {
        "regret_type": runs * (known["type oracle"]["utility"] - figures["utility"]),
        "regret_task": runs * (known["task oracle"]["utility"] - figures["utility"]),
    }


def _standard_error(values: list[float]) -> float:
    return float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0
