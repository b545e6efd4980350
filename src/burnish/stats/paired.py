"""Compare candidate and control on the same inputs: replay and shadow.

The same bettors as in `comparison.py`, on the difference of the two losses of a pair. What both runs share (the
difficulty of the input) cancels, so a pair says far more than two runs: at correlation .8 an effect of −.02 takes
hundreds of pairs, not thousands of runs. Valid when the pairs' differences have, given the past, a mean on one side of
the null: inputs drawn independently, or in random order from a fixed set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from burnish.stats.comparison import PROMOTE, ROLLBACK, checked_margin

if TYPE_CHECKING:
    from burnish.stats.inversion import Increments

LARGEST_VARIANCE = 0.25
"""Variance counted as one past pair, so nobody bets high on a few equal ones."""


@dataclass(slots=True)
class Spread:
    """Say how far differences lie apart, from the past ones.

    Attributes:
        count: Differences seen.
        total: Σ of differences.
        squares: Σ (difference − mean before it)².
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float:
        """Mean difference, a zero counted as one more."""
        return self.total / (1.0 + self.count)

    @property
    def variance(self) -> float:
        """Variance expected of the next difference, > 0."""
        return (LARGEST_VARIANCE + self.squares) / (1.0 + self.count)

    def learn(self, difference: float) -> None:
        """Count one difference."""
        self.squares += (difference - self.mean) ** 2
        self.count += 1
        self.total += difference


def _nothing_won() -> list[float]:
    return [0.0, 0.0, 0.0]


@dataclass(slots=True)
class Paired:
    """Evidence about one candidate from pairs; `update` once a pair.

    Attributes:
        margin: Loss that is tolerated, in (−1, 1). Promotion is evidence against "effect ≥ margin": above 0 it asks for
            "not inferior", below 0 for "better by as much". Rollback is evidence against "effect ≤ max(margin, 0)".
        spread: How far differences lie apart.
        promote_logs: Log-wealth of each stake of `PROMOTE`.
        rollback_logs: Log-wealth of each stake of `ROLLBACK`.
        best_promote: The largest `promote` ever was.
        best_rollback: The largest `rollback` ever was.
    """

    margin: float = 0.0
    spread: Spread = field(default_factory=Spread)
    promote_logs: list[float] = field(default_factory=_nothing_won)
    rollback_logs: list[float] = field(default_factory=_nothing_won)
    best_promote: float = 1.0
    best_rollback: float = 1.0

    def __post_init__(self) -> None:
        checked_margin(self.margin)

    def update(self, difference: float) -> None:
        """Count one pair: the candidate's loss minus control's, cut to [−1, 1]; NaN raises ValueError."""
        difference = _clipped(difference)
        variance, tolerated = self.spread.variance, max(self.margin, 0.0)
        self.spread.learn(difference)
        self.promote_logs = PROMOTE.won(self.promote_logs, self.margin - difference, variance, 1.0 - self.margin)
        self.rollback_logs = ROLLBACK.won(self.rollback_logs, difference - tolerated, variance, 1.0 + tolerated)
        self.best_promote = PROMOTE.best(self.best_promote, self.promote_logs)
        self.best_rollback = ROLLBACK.best(self.best_rollback, self.rollback_logs)

    @property
    def promote(self) -> float:
        """Evidence that the effect lies below the margin; reach `comparison.PROMOTE_AT`."""
        return PROMOTE.evidence(self.promote_logs)

    @property
    def rollback(self) -> float:
        """Evidence that the effect lies above both zero and the margin; reach `comparison.ROLLBACK_AT`."""
        return ROLLBACK.evidence(self.rollback_logs)

    @property
    def pairs(self) -> int:
        """Pairs counted."""
        return self.spread.count

    @property
    def mean(self) -> float | None:
        """Mean difference: the estimate of the effect."""
        return self.spread.total / self.spread.count if self.spread.count else None

    def plain(self) -> dict[str, object]:
        """Return the state as JSON-able values that `load` turns back exactly."""
        return {
            "margin": self.margin,
            "pairs": self.spread.count,
            "total": self.spread.total,
            "squares": self.spread.squares,
            "promote_logs": list(self.promote_logs),
            "rollback_logs": list(self.rollback_logs),
            "best_promote": self.best_promote,
            "best_rollback": self.best_rollback,
        }

    @classmethod
    def load(cls, plain: Mapping[str, Any]) -> Paired:
        """Return the state that `plain` described; errors as for `Comparison.load`."""
        return cls(
            margin=float(plain["margin"]),
            spread=Spread(int(plain["pairs"]), float(plain["total"]), float(plain["squares"])),
            promote_logs=PROMOTE.load(plain["promote_logs"]),
            rollback_logs=ROLLBACK.load(plain["rollback_logs"]),
            best_promote=float(plain["best_promote"]),
            best_rollback=float(plain["best_rollback"]),
        )


def paired_interval(differences: Sequence[float], alpha: float = 0.05) -> tuple[float, float]:
    """Return an interval for the mean difference that is valid however often it is looked at.

    Args:
        differences: Candidate's loss minus control's for each pair in order, cut to [−1, 1].
        alpha: Probability, at most, that the interval ever misses a constant mean.

    Raises:
        ValueError: A difference is NaN, or α lies outside (0, 1).
    """
    from burnish.stats.inversion import bounds

    low, high = bounds(_increments([_clipped(difference) for difference in differences]), alpha)
    return min(low, high), max(low, high)


def _increments(differences: list[float]) -> Increments:
    import numpy as np

    from burnish.stats.inversion import Increments

    spread, variances = Spread(), []
    for difference in differences:
        variances.append(spread.variance)
        spread.learn(difference)
    ones = np.ones(len(differences))
    return Increments(np.array(differences), np.array(variances), ones, ones, ones)


def _clipped(difference: float) -> float:
    if difference != difference:  # noqa: PLR0124 - only NaN differs from itself
        raise ValueError(
            "difference is NaN: a pair of which one run has no score by its deadline counts that as loss 1"
        )
    return min(max(difference, -1.0), 1.0)
