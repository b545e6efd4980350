"""Ramp while the traffic changes: what the pooled tests of other tools decide about two equal arms, beside ours.

Most of the candidate's runs come late, so whatever changes over time looks like an effect to a test that pools each
arm's runs (Simpson's paradox). All tests see the same draws.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from benchmarks.canary_losses import D1, D3, SPLITS, Array, Mask, Shape, draws, seeded
from benchmarks.canary_vectorised import Canaries
from burnish.stats.comparison import PROMOTE_AT, ROLLBACK_AT

LOOK_EVERY = 20
ALPHA = 0.05
BURN_IN = 100
"""Runs in each arm before an asymptotic interval is read."""

FEW = 10
"""Runs in each arm before a t-test that is looked at all the time is read."""

TUNED_FOR = 1000.0
METHODS = (
    "Burnish",
    "Welch, once at 5,000",
    "Welch, every 20 runs",
    "O'Brien–Fleming, 20 looks",
    "asymptotic CS, pooled",
    "empirical-Bernstein CS, arms",
)
DRIFTS = {"improving .40 → .05": (0.40, 0.05), "worsening .05 → .40": (0.05, 0.40), "flat": (0.20, 0.20)}


class Pooled:
    """Count, mean and variance of each arm's losses over all runs so far; arrays of shape [2, size]."""

    def __init__(self, size: int) -> None:
        self.count, self.total, self.squares = np.zeros((3, 2, size))

    def step(self, loss: Array, arm: Mask) -> None:
        """Count one run of each replicate."""
        which = np.stack([~arm, arm]).astype(np.float64)
        self.count += which
        self.total += which * loss
        self.squares += which * loss * loss

    def z(self) -> tuple[Array, Array]:
        """Return (difference, standard error); the error is infinite while an arm has fewer than two runs."""
        count = np.maximum(self.count, 2.0)
        mean = self.total / np.maximum(self.count, 1.0)
        variance = np.maximum(self.squares / count - (self.total / count) ** 2, 0.0) * count / (count - 1.0)
        error = np.sqrt((variance / count).sum(axis=0))
        error = np.where((self.count < 2.0).any(axis=0) | (error <= 0.0), np.inf, error)
        return mean[1] - mean[0], error


class BernsteinArms:
    """Predictable plug-in empirical-Bernstein confidence sequence for each arm, joined by a union bound.

    Source: Waudby-Smith and Ramdas, JRSS B 2024, theorem 2.
    """

    def __init__(self, size: int) -> None:
        self.count = np.zeros((2, size))
        self.total = np.full((2, size), 0.5)
        self.squares = np.full((2, size), 0.25)
        self.stakes, self.weighted, self.spent = np.zeros((3, 2, size))
        self.low, self.high = np.full(size, -1.0), np.full(size, 1.0)

    def step(self, loss: Array, arm: Mask) -> None:
        """Count one run of each replicate."""
        which = np.stack([~arm, arm]).astype(np.float64)
        mean, variance = self.total / (self.count + 1.0), self.squares / (self.count + 1.0)
        now = self.count + 1.0
        stake = np.minimum(np.sqrt(2.0 * math.log(4.0 / ALPHA) / (variance * now * np.log1p(now))), 0.5)
        self.stakes += which * stake
        self.weighted += which * stake * loss
        self.spent += which * (loss - mean) ** 2 * (-np.log1p(-stake) - stake)
        self.count += which
        self.total += which * loss
        self.squares += which * (loss - self.total / (self.count + 1.0)) ** 2

    def look(self) -> None:
        """Cut the interval to what is possible now."""
        stakes = np.maximum(self.stakes, 1e-9)
        centre, radius = self.weighted / stakes, (math.log(4.0 / ALPHA) + self.spent) / stakes
        self.low = np.maximum(self.low, centre[1] - radius[1] - centre[0] - radius[0])
        self.high = np.minimum(self.high, centre[1] + radius[1] - centre[0] + radius[0])


class Verdicts:
    """Which replicates a test has declared better or worse, first verdict first."""

    def __init__(self, size: int) -> None:
        self.better, self.worse = np.zeros((2, size), dtype=np.bool_)

    def see(self, better: Mask, worse: Mask) -> None:
        """Note the verdict of those that had none."""
        open_ = ~(self.better | self.worse)
        self.better |= open_ & better
        self.worse |= open_ & worse & ~self.better

    def figures(self) -> dict[str, float]:
        """Return the shares declared better and worse."""
        return {"promoted": float(self.better.mean()), "rolled_back": float(self.worse.mean())}


@cache
def obrien_fleming(looks: int) -> float:
    """Return the constant of O'Brien and Fleming's boundary for a two-sided .05, from simulated Brownian motion."""
    steps = np.random.Generator(np.random.PCG64(7)).standard_normal((200_000, looks))
    highest = np.abs(np.cumsum(steps, axis=1)).max(axis=1) / math.sqrt(looks)
    return float(np.quantile(highest, 1.0 - ALPHA))


def asymptotic_radius(total: Array) -> Array:
    """Return standard errors by which a normal-mixture confidence sequence is wide after `total` runs.

    Source: Waudby-Smith et al., "Time-uniform central limit theory", arXiv 2103.06476, equation (3).
    """
    tuned = (-2.0 * math.log(ALPHA) + math.log(-2.0 * math.log(ALPHA) + 1.0)) / TUNED_FOR
    grown = total * tuned
    radius: Array = np.sqrt(2.0 * (grown + 1.0) / grown * np.log(np.sqrt(grown + 1.0) / ALPHA))
    return radius


def under_drift(size: int) -> list[dict[str, Any]]:
    """Return, for each shape and drift, how often each method declares one of two equal arms better or worse."""
    return [
        {"shape": shape.name, "drift": name, "replicates": size, "methods": _methods(shape, name, size)}
        for shape in (D1, D3)
        for name in DRIFTS
    ]


def _methods(shape: Shape, drift: str, size: int) -> dict[str, dict[str, float]]:
    p, (first, last) = SPLITS["ramp"], DRIFTS[drift]
    bad = np.linspace(first, last, len(p))
    rng = seeded("drift", shape.name, drift)
    state, pooled, arms_alone = Canaries(size), Pooled(size), BernsteinArms(size)
    verdicts = {name: Verdicts(size) for name in METHODS}
    run, blocks = 0, len(p) // 20
    for losses, arms in draws(rng, shape, size, bad, np.zeros(len(p)), p):
        for loss, arm in zip(losses, arms, strict=True):
            state.step(loss, arm, float(p[run]))
            pooled.step(loss, arm)
            arms_alone.step(loss, arm)
            run += 1
            verdicts["Burnish"].see(state.promote() >= PROMOTE_AT, state.rollback() >= ROLLBACK_AT)
            if run % LOOK_EVERY:
                continue
            difference, error = pooled.z()
            z = difference / error
            few = (pooled.count < FEW).any(axis=0)
            burnt = (pooled.count < BURN_IN).any(axis=0)
            wide = np.where(burnt, np.inf, asymptotic_radius(pooled.count.sum(axis=0)))
            verdicts["asymptotic CS, pooled"].see(z < -wide, z > wide)
            verdicts["Welch, every 20 runs"].see(z < -np.where(few, np.inf, 1.96), z > np.where(few, np.inf, 1.96))
            arms_alone.look()
            verdicts["empirical-Bernstein CS, arms"].see(arms_alone.high < 0.0, arms_alone.low > 0.0)
            if run % blocks == 0:
                boundary = obrien_fleming(20) * math.sqrt(20.0 / (run / blocks))
                verdicts["O'Brien–Fleming, 20 looks"].see(z < -boundary, z > boundary)
            if run == len(p):
                verdicts["Welch, once at 5,000"].see(z < -1.96, z > 1.96)
    return {name: verdict.figures() for name, verdict in verdicts.items()}
