"""Invert the betting test on a grid of shifts: which effects have not been refuted at any time so far.

A shift θ is refuted from below once the wealth of a bettor against "effect ≤ θ" has ever reached 2/α, from above in the
same way; what remains covers a constant effect at all times with probability ≥ 1 − α. Each factor 1 + λ(D − θ) falls as
θ rises, with capped stakes too, so the refuted shifts lie on one side and a grid can be refined around the edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from burnish.stats.comparison import BOLDEST, LARGEST_LOG, PROMOTE, ROLLBACK, Bets

Array: TypeAlias = NDArray[np.float64]

GRID = 32
"""Shifts tried at once, between the last refuted and the first not refuted one."""

ROUNDS = 3
"""Refinements; the edge is found to 2/33³ < 10⁻⁴."""


@dataclass(frozen=True, slots=True, eq=False)
class Increments:
    """What each unit said, in order, and what was known before it; all of shape [n].

    Attributes:
        difference: Unbiased for the effect, given the past.
        variance: Expected variance of the difference, > 0.
        highest: Largest difference possible, ≥ `unit`.
        lowest: Minus the smallest difference possible, ≥ `unit`.
        unit: What an effect of one adds to the mean of the difference: 1, or for the arms of a larger experiment
            1/(p₁ + p₀).
    """

    difference: Array
    variance: Array
    highest: Array
    lowest: Array
    unit: Array


def evidence(bets: Bets, gains: Array, variance: Array, most: Array) -> Array:
    """Return the wealth of a bettor after each unit, the same shape as `gains`, at most about 10³⁰⁰.

    Args:
        bets: The bettor.
        gains: What each unit pays for a unit of stake, shape [..., n], ≥ −most.
        variance: Expected variance of the gains, shape [n].
        most: Most that a unit can cost, shape [..., n], > 0.
    """
    cap = BOLDEST / most
    wealth = np.zeros_like(gains)
    for target, share in zip(bets.targets, bets.weights, strict=True):
        stakes = np.minimum(target / (variance + target * target), cap)
        logs = np.cumsum(np.log1p(stakes * gains), axis=-1)
        wealth += share * np.exp(np.minimum(logs, LARGEST_LOG))
    return wealth


def bounds(increments: Increments, alpha: float) -> tuple[float, float]:
    """Return (low, high) of the effect, within [−1, 1], valid at all times together with probability ≥ 1 − α.

    A low above the high means that no constant effect fits: the effect changed.

    Raises:
        ValueError: α lies outside (0, 1).
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha={alpha} is no probability of error: it lies between 0 and 1")
    d, v, unit = increments.difference, increments.variance, increments.unit
    low = _refuted_up_to(ROLLBACK, d, v, increments.lowest, unit, 2.0 / alpha)
    high = -_refuted_up_to(PROMOTE, -d, v, increments.highest, unit, 2.0 / alpha)
    return low, high


def _refuted_up_to(bets: Bets, difference: Array, variance: Array, lowest: Array, unit: Array, wanted: float) -> float:
    """Return the largest θ for which "effect ≤ θ" is refuted; −1 when none is."""
    refuted, standing = -1.0, 1.0
    if not len(difference):
        return refuted
    for _ in range(ROUNDS):
        shifts = np.linspace(refuted, standing, GRID + 2)[1:-1]
        tolerated = np.outer(shifts, unit)
        wealth = evidence(bets, difference - tolerated, variance, lowest + tolerated)
        count = int(np.count_nonzero(wealth.max(axis=1) >= wanted))
        edges = [refuted, *shifts.tolist(), standing]
        refuted, standing = edges[count], edges[count + 1]
    return refuted
