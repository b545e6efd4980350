"""Learn each arm's quality on each task type from counters that only ever add up.

The model is crossed: quality[k, t] = arm effect k + type effect t + interaction k·t, all Gaussian. A cell that
has seen little leans on its arm and its type; a cell that has seen much stands on its own mean. The posterior is a
deterministic function of additive counters, so the counters of any number of processes can be summed in any order.

The module does not know what an arm is, what a cost is, or how a choice is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

EARLIER_EPOCH_MASS = 5.0
"""Observations that all epochs of a cell before its arm's last drift alarm may still weigh together."""


@dataclass(frozen=True, eq=False, slots=True)
class CellCounts:
    """Additive sufficient statistics of K arms × T task types; every array has shape [K, T].

    Attributes:
        n: Observations; real-valued, because an earlier epoch may be scaled down.
        total: Σy with y the quality in [0, 1].
        squares: Σy².
    """

    n: Array
    total: Array
    squares: Array

    @classmethod
    def empty(cls, arms: int, types: int) -> CellCounts:
        """Return counters of nothing seen."""
        return cls(*np.zeros((3, arms, types)))

    def __add__(self, other: CellCounts) -> CellCounts:
        """Return the counters of both sets of observations."""
        return CellCounts(self.n + other.n, self.total + other.total, self.squares + other.squares)

    def capped(self, mass: float = EARLIER_EPOCH_MASS) -> CellCounts:
        """Scale each cell to weigh at most `mass` observations; its mean and spread stay."""
        scale = np.minimum(1.0, mass / np.maximum(self.n, mass))
        return CellCounts(self.n * scale, self.total * scale, self.squares * scale)


def fold_epochs(current: CellCounts, earlier: Iterable[CellCounts], mass: float = EARLIER_EPOCH_MASS) -> CellCounts:
    """Return the current epoch's counters plus those of all earlier epochs, capped cell by cell at `mass`.

    An arm that never had an alarm keeps all its observations in `current`. Earlier epochs are summed before the cap,
    so the result does not depend on their order.
    """
    older = sum(earlier, CellCounts(*np.zeros((3, *current.n.shape))))
    return current + older.capped(mass)


@dataclass(frozen=True, eq=False, slots=True)
class CellPrior:
    """What is believed before any run; the defaults are one set for every data set (benchmarks/results/routing.md).

    The spreads that decide how fast arms are told apart are ratios to the noise sd. Where one run says little, arms
    also differ little: on four public matrices the noise sd runs from .13 to .42 and the fitted interaction follows
    it. The ratio carries over between metrics; a fixed spread, and a spread fitted from few runs, did worse.

    Attributes:
        mean: Quality expected of an arm nobody has tried, in [0, 1]; a vector of K gives each arm its own (a tier,
            a leaderboard). Keep it at or above a plausible best arm: a learner that expects less than its first arm
            delivers never tries a second one.
        level_sd: Spread of the level that all arms share.
        type_sd: Spread of the type effects.
        arm_ratio: Spread of the arm effects in units of the noise sd.
        interaction_ratio: Spread of one arm's deviation on one type in units of the noise sd.
        noise_variance: Variance of one observation around its cell, before any run.
        noise_mass: Observations that `noise_variance` weighs against the measured variance within cells.
        noise_floor: Smallest variance of one observation that is believed.
    """

    mean: float | Array = 0.7
    level_sd: float = 0.2
    type_sd: float = 0.2
    arm_ratio: float = 0.6
    interaction_ratio: float = 0.5
    noise_variance: float = 0.1
    noise_mass: float = 5.0
    noise_floor: float = 0.01


@dataclass(frozen=True, eq=False, slots=True)
class CellPosterior:
    """Joint Gaussian belief over the K arms for each type; index T, the last, is a type never seen.

    Attributes:
        mean: Expected quality, shape [T + 1, K].
        covariance: Shape [T + 1, K, K]. Joint, because the type's own effect cancels when arms are compared.
        factor: Lower Cholesky factor of `covariance`, same shape.
        noise_variance: Variance of one observation around its cell.
    """

    mean: Array
    covariance: Array
    factor: Array
    noise_variance: float


def pooled_noise(counts: CellCounts, prior: CellPrior) -> float:
    """Return the variance of one observation within its cell, pooled over cells and weighed with the prior."""
    seen = np.maximum(counts.n, 1e-12)
    within = float(np.maximum(counts.squares - counts.total**2 / seen, 0.0).sum())
    freedom = float(np.maximum(counts.n - 1.0, 0.0).sum())
    pooled = (within + prior.noise_mass * prior.noise_variance) / (freedom + prior.noise_mass)
    return max(pooled, prior.noise_floor)


def posterior(counts: CellCounts, prior: CellPrior | None = None) -> CellPosterior:
    """Return the exact Gaussian posterior of every cell given the pooled noise.

    A cell mean has variance interaction² + noise / n around arm + type. The type effects are eliminated by a Schur
    complement, so the cost is one K × K solve plus T products of K × K.
    """
    prior = prior or CellPrior()
    noise = pooled_noise(counts, prior)
    n, cell_mean = _with_unseen_type(counts)
    interaction = prior.interaction_ratio**2 * noise
    weight = n / (n * interaction + noise)  # precision of each cell mean as evidence on arm + type
    type_precision = 1.0 / prior.type_sd**2 + weight.sum(axis=1)
    type_share = weight / type_precision[:, None]
    arm_mean, arm_covariance = _arm_effects(weight, type_share, cell_mean, prior, noise)

    trust = interaction * weight  # share of the cell's own mean in its posterior
    lean = 1.0 - trust
    arms = n.shape[1]
    spread = lean[:, :, None] * (np.eye(arms) - type_share[:, None, :])
    type_mean = (type_share * cell_mean).sum(axis=1)
    mean = spread @ arm_mean + lean * type_mean[:, None] + trust * cell_mean
    covariance = spread @ arm_covariance @ spread.transpose(0, 2, 1)
    covariance += lean[:, :, None] * lean[:, None, :] / type_precision[:, None, None]
    diagonal = np.arange(arms)
    covariance[:, diagonal, diagonal] += interaction * lean + 1e-12
    return CellPosterior(mean, covariance, np.linalg.cholesky(covariance), noise)


def _with_unseen_type(counts: CellCounts) -> tuple[Array, Array]:
    """Return observations and cell means, both [T + 1, K], with an empty last type."""
    arms = counts.n.shape[0]
    n = np.vstack([counts.n.T, np.zeros(arms)])
    total = np.vstack([counts.total.T, np.zeros(arms)])
    return n, total / np.maximum(n, 1e-12)


def _arm_effects(
    weight: Array, type_share: Array, cell_mean: Array, prior: CellPrior, noise: float
) -> tuple[Array, Array]:
    """Return mean [K] and covariance [K, K] of level + arm effect, with the type effects integrated out."""
    arms = weight.shape[1]
    prior_mean = np.broadcast_to(np.asarray(prior.mean, dtype=np.float64), (arms,))
    prior_covariance = np.eye(arms) * prior.arm_ratio**2 * noise + prior.level_sd**2
    prior_precision = np.linalg.inv(prior_covariance)
    evidence = weight * cell_mean
    precision = prior_precision + np.diag(weight.sum(axis=0)) - type_share.T @ weight
    information = evidence.sum(axis=0) - type_share.T @ evidence.sum(axis=1) + prior_precision @ prior_mean
    covariance = np.linalg.inv(precision)
    covariance = (covariance + covariance.T) / 2.0
    return covariance @ information, covariance
