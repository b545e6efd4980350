"""Expect each arm's cost (or latency) on each task type from additive counters.

Costs multiply where qualities add: an arm is some factor dearer, a type some factor longer. A cell that has seen little
leans on arm × type, an arm never run on what it was declared to cost, else on the others' mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

MASS = 0.5
"""Observations that the arm × type guess weighs in a cell, and a declared rate in an arm."""

SWEEPS = 8
"""Alternations between arm rates and type factors; arms are run on unlike types, so one pass confounds the two."""


def expected_rates(n: Array, total: Array, *, declared: Array | None = None, mass: float = MASS) -> Array:
    """Return the expected cost of each arm on each type, shape [T + 1, K]; the last row is a type never seen.

    Args:
        n: Runs whose cost is known, shape [K, T].
        total: Σcost of those runs, same shape.
        declared: What each arm is said to cost a run (list price × usual tokens), shape [K]; NaN where unknown.
        mass: Observations that the arm × type guess weighs against the cell's own mean.
    """
    observed = np.vstack([total.T, np.zeros(len(n))])
    runs = np.vstack([n.T, np.zeros(len(n))])
    guess, weight = _declared(n, total, declared, mass)
    arm_total, type_total = observed.sum(axis=0) + weight * guess, observed.sum(axis=1)
    factor, arm_rate = np.ones(len(runs)), guess
    for _ in range(SWEEPS):
        arm_rate = arm_total / (factor @ runs + weight)
        level = mass * arm_rate.mean()
        factor = (type_total + level) / np.maximum(runs @ arm_rate + level, 1e-300)
    return (observed + mass * np.outer(factor, arm_rate)) / (runs + mass)


def _declared(n: Array, total: Array, declared: Array | None, mass: float) -> tuple[Array, Array]:
    """Return what each arm is taken to cost before its own runs, and how many runs that weighs; both [K]."""
    overall = np.full(len(n), total.sum() / max(float(n.sum()), 1.0))
    barely = np.full(len(n), 1e-9)
    if declared is None:
        return overall, barely
    unknown = np.isnan(declared)
    return np.where(unknown, overall, declared), np.where(unknown, barely, mass)
