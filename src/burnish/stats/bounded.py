"""Bound the mean of values of a known range, whatever their distribution, by betting against every other mean.

Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024), §4. For
each possible mean a gambler stakes λ_t on "the next value is above it". If it is the mean, the bet is fair and, by
Ville's inequality, the wealth ever reaches 1/α with probability at most α. The interval is what was not refuted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BOLDEST = 0.75
"""Largest share of the wealth that may be lost on one value."""

HALVINGS = 40
"""Steps of the search for each end: 2⁻⁴⁰ of the range."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the bounds it was found within; the mean lies between the bounds."""

    mean: float
    low: float
    high: float


def mean_interval(
    values: Sequence[float], *, alpha: float = 0.05, horizon: int | None = None, low: float = -1.0, high: float = 1.0
) -> Interval:
    """Return an interval that holds the true mean with probability at least 1 − alpha, without assumptions on shape.

    The values must come in an order that says nothing about them (shuffled, or as they happened). One may look again
    when more have come, as often as one likes, if every look gives the same horizon.

    Args:
        values: Each in [low, high]; may be empty, which gives the whole range.
        alpha: Probability of error, both sides together, in (0, 1).
        horizon: Number of values for which the stakes are best; `len(values)` by default. Any gives a valid interval.
        low: Least possible value.
        high: Greatest possible value.

    Raises:
        ValueError: A value is outside the range, or alpha outside (0, 1).
    """
    if not (0.0 < alpha < 1.0 and low < high):
        raise ValueError(f"alpha={alpha} must lie in (0, 1) and low={low} below high={high}")
    raw = np.asarray(values, dtype=np.float64)
    if not bool(((raw >= low) & (raw <= high)).all()):
        raise ValueError(f"every value must lie in [{low}, {high}]")
    if raw.size == 0:
        return Interval((low + high) / 2, low, high)
    unit = (raw - low) / (high - low)
    aim = max(1, raw.size if horizon is None else horizon)
    below, above = _least(unit, alpha / 2, aim), 1.0 - _least(1.0 - unit, alpha / 2, aim)
    mean = float(raw.mean())
    return Interval(mean, min(mean, low + below * (high - low)), max(mean, low + above * (high - low)))


def values_needed(
    values: Sequence[float], *, above: float, below: float, alpha: float = 0.05, most: int = 100_000
) -> int | None:
    """Return about how many values in [−1, 1] like these place the mean surely above `above` or below `below`.

    It repeats what was seen until that decides: a projection, not a promise. None when more than `most` are needed.
    """
    if not len(values):
        return None
    seen = np.asarray(values, dtype=np.float64)

    def decides(count: int) -> bool:
        found = mean_interval(np.resize(seen, count).tolist(), alpha=alpha)
        return found.low > above or found.high < below

    enough = seen.size
    while not decides(enough):
        if enough >= most:
            return None
        enough = min(2 * enough, most)
    short = seen.size - 1 if enough == seen.size else enough // 2
    while enough - short > max(1, enough // 50):
        middle = (enough + short) // 2
        enough, short = (middle, short) if decides(middle) else (enough, middle)
    return enough


def _least(unit: Array, alpha: float, horizon: int) -> float:
    """Return the least mean in [0, 1] that a bet on higher values does not refute at level alpha.

    The wealth falls as the assumed mean rises, so the means that are refuted are those below one point.
    """
    stakes = _stakes(unit, alpha, horizon)
    target = math.log(1.0 / alpha)

    def refuted(mean: float) -> bool:
        gains = np.minimum(stakes, BOLDEST / mean) * (unit - mean)
        return bool(np.cumsum(np.log1p(gains)).max() >= target)

    least, most = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (least + most) / 2
        least, most = (middle, most) if refuted(middle) else (least, middle)
    return least


def _stakes(unit: Array, alpha: float, horizon: int) -> Array:
    """Return the stake on each value, which looks only at the values before it (the paper's predictable plug-in)."""
    count = np.arange(1, unit.size + 1)
    means = (0.5 + np.cumsum(unit)) / (count + 1)
    variances = (0.25 + np.cumsum((unit - means) ** 2)) / (count + 1)
    before = np.concatenate(([0.25], variances[:-1]))
    return np.asarray(np.sqrt(2.0 * math.log(1.0 / alpha) / (before * horizon)))
