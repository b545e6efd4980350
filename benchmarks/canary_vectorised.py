"""The classes of `burnish.stats` for thousands of replicates at once; `canary_checks.py` shows that they are the same.

Wealths are kept as products, not as sums of logarithms: within 5,000 runs they may sink to zero, never overflow before
a decision.
"""

from __future__ import annotations

import numpy as np

from benchmarks.canary_losses import Array, Mask
from burnish.stats.comparison import BOLDEST, PROMOTE, ROLLBACK, Bets
from burnish.stats.increment import CATEGORY_MASS, LARGEST_VARIANCE
from burnish.stats.paired import LARGEST_VARIANCE as LARGEST_PAIR_VARIANCE
from burnish.stats.sample_ratio import SHIFTS


class Centres:
    """Many `Centre`s; with categories, of shape [size, categories]."""

    def __init__(self, size: int, categories: int = 0) -> None:
        self.count = np.zeros(size)
        self.total = np.zeros(size)
        self.squares = np.zeros(size)
        self.counts = np.zeros((size, categories))
        self.totals = np.zeros((size, categories))

    def keep(self, kept: Mask) -> None:
        """Go on with some of the replicates only."""
        for name in ("count", "total", "squares", "counts", "totals"):
            setattr(self, name, getattr(self, name)[kept])

    def predict(self, category: int | None) -> Array:
        """Return the loss expected of the next unit."""
        overall: Array = (0.5 + self.total) / (1.0 + self.count)
        if category is None:
            return overall
        own: Array = (CATEGORY_MASS * overall + self.totals[:, category]) / (CATEGORY_MASS + self.counts[:, category])
        return own

    def variance(self) -> Array:
        """Return the mean squared error of predictions."""
        spread: Array = (LARGEST_VARIANCE + self.squares) / (1.0 + self.count)
        return spread

    def learn(self, loss: Array, predicted: Array, category: int | None, seen: Mask | None) -> None:
        """Count one loss of each replicate, or of those in `seen`."""
        weight = np.ones(len(loss)) if seen is None else seen.astype(np.float64)
        self.count += weight
        self.total += weight * loss
        self.squares += weight * (loss - predicted) ** 2
        if category is not None:
            self.counts[:, category] += weight
            self.totals[:, category] += weight * loss


class Canaries:
    """Many `Comparison`s and `HarmDetector`s on the same increments, margin 0.

    Attributes:
        better: Wealth of each stake of `PROMOTE`, shape [3, size].
        worse: Wealth of each stake of `ROLLBACK`.
        late: The detector's S for each stake; stays 0 unless `detect`.
    """

    def __init__(self, size: int, *, categories: int = 0, detect: bool = False) -> None:
        self.centres = Centres(size, categories)
        self.better = np.ones((3, size))
        self.worse = np.ones((3, size))
        self.detect = detect
        self.late = np.zeros((3, size))

    def keep(self, kept: Mask) -> None:
        """Go on with some of the replicates only."""
        self.centres.keep(kept)
        self.better, self.worse = self.better[:, kept], self.worse[:, kept]
        self.late = self.late[:, kept]

    def step(self, loss: Array, arm: Mask, p: float, *, category: int | None = None, seen: Mask | None = None) -> None:
        """Count one unit of each replicate, or of those in `seen`."""
        m, spread = self.centres.predict(category), self.centres.variance()
        self.centres.learn(loss, m, category, seen)
        gain = np.where(arm, (loss - m) / p, (m - loss) / (1.0 - p))
        if seen is not None:
            gain *= seen
        variance = spread * (1.0 / p + 1.0 / (1.0 - p))
        highest = np.maximum((1.0 - m) / p, m / (1.0 - p))
        lowest = np.maximum(m / p, (1.0 - m) / (1.0 - p))
        self.better *= factors(PROMOTE, -gain, variance, highest)
        grown = factors(ROLLBACK, gain, variance, lowest)
        self.worse *= grown
        if self.detect:
            self.late = np.minimum((self.late + 1.0) * grown, 1e300)

    def promote(self) -> Array:
        """Return the evidence that the candidate is better."""
        return np.asarray(PROMOTE.weights) @ self.better

    def rollback(self) -> Array:
        """Return the evidence that the candidate is worse."""
        return np.asarray(ROLLBACK.weights) @ self.worse

    def harm(self) -> Array:
        """Return the detector's evidence."""
        return np.asarray(ROLLBACK.weights) @ self.late


def factors(bets: Bets, gain: Array, variance: Array, most: Array) -> Array:
    """Return what one unit multiplies each stake's wealth by, shape [stakes, size]."""
    target = np.array(bets.targets)[:, None]
    factor: Array = 1.0 + np.minimum(target / (variance + target * target), BOLDEST / most) * gain
    return factor


class Pairs:
    """Many `Paired`s, margin 0."""

    def __init__(self, size: int) -> None:
        self.count = 0
        self.total = np.zeros(size)
        self.squares = np.zeros(size)
        self.better = np.ones((3, size))
        self.worse = np.ones((3, size))

    def keep(self, kept: Mask) -> None:
        """Go on with some of the replicates only."""
        self.total, self.squares = self.total[kept], self.squares[kept]
        self.better, self.worse = self.better[:, kept], self.worse[:, kept]

    def step(self, difference: Array) -> None:
        """Count one pair of each replicate."""
        variance = (LARGEST_PAIR_VARIANCE + self.squares) / (1.0 + self.count)
        self.squares += (difference - self.total / (1.0 + self.count)) ** 2
        self.total += difference
        self.count += 1
        one = np.ones(len(difference))
        self.better *= factors(PROMOTE, -difference, variance, one)
        self.worse *= factors(ROLLBACK, difference, variance, one)

    def promote(self) -> Array:
        """Return the evidence that the candidate is better."""
        return np.asarray(PROMOTE.weights) @ self.better

    def rollback(self) -> Array:
        """Return the evidence that the candidate is worse."""
        return np.asarray(ROLLBACK.weights) @ self.worse


class Ratios:
    """Many `SampleRatio`s of two arms."""

    def __init__(self, size: int) -> None:
        self.wealth = np.ones((len(SHIFTS), size))

    def step(self, arm: Mask, p: float, seen: Mask) -> None:
        """Count one unit of each replicate in `seen`."""
        growth = np.exp(np.array(SHIFTS))[:, None]
        factor = np.where(arm, growth, 1.0) / (1.0 - p + p * growth)
        self.wealth *= np.where(seen, factor, 1.0)

    def evidence(self) -> Array:
        """Return the evidence of a mismatch."""
        mean: Array = self.wealth.mean(axis=0)  # shifts of control's log-odds are the same shifts mirrored
        return mean
