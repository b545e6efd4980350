"""Compare one candidate with its control while runs come in: one statistic, read in two directions.

Two bettors watch the increments of `increment.py`. One bets that the candidate's loss is lower, the other that it is
higher; without an effect neither gets rich: P(wealth ever ≥ 1/α) ≤ α (Ville), at every look, for any ramp and any
drift. So the wealth may be read after each run: promote at 20 (α = .05), roll back at 10 (α = .10).

Each bettor splits its wealth over three stakes, `λ = min(d / (v + d²), 0.9 / B)`, near the best stake when the effect
is d; v is the variance expected of the increment and B the most it could lose. Source of the construction:
Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 2024.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log1p
from operator import add, mul
from typing import Any

from burnish.stats.increment import Centre, clipped, take

BOLDEST = 0.9
"""Largest share of its wealth that a bettor can lose on one unit."""

LARGEST_LOG = 690.0
"""Log-wealth is cut here when it is read, so an e-value stays a finite number (about 10³⁰⁰)."""


@dataclass(frozen=True, slots=True)
class Bets:
    """Effects that a bettor prepares for, each > 0, and the share of its wealth on each; the shares sum to one."""

    targets: tuple[float, ...]
    weights: tuple[float, ...]

    def load(self, logs: Sequence[float]) -> list[float]:
        """Return stored log-wealths; ValueError when they are those of another number of stakes."""
        if len(logs) != len(self.targets):
            raise ValueError(f"{len(logs)} log-wealths stored for {len(self.targets)} stakes: start a new comparison")
        return [float(wealth) for wealth in logs]

    def stakes(self, variance: float, most: float) -> list[float]:
        """Return λ for each target: what to bet on an increment of this variance that can lose `most` > 0."""
        cap = BOLDEST / most
        return [best if (best := d / (variance + d * d)) < cap else cap for d in self.targets]

    def won(self, logs: Sequence[float], gain: float, variance: float, most: float) -> list[float]:
        """Return the log-wealths after a unit that paid `gain` ≥ −`most` for each unit of stake."""
        return list(map(add, logs, [log1p(stake * gain) for stake in self.stakes(variance, most)]))

    def evidence(self, logs: Sequence[float]) -> float:
        """Return the e-value, the wealth of all stakes together: 1 at the start, at most about 10³⁰⁰."""
        if max(logs) > LARGEST_LOG:
            logs = [min(wealth, LARGEST_LOG) for wealth in logs]
        wealth: float = sum(map(mul, self.weights, map(exp, logs)))
        return wealth

    def best(self, before: float, logs: Sequence[float]) -> float:
        """Return the larger of the evidence and what it was at best before, ≥ 1."""
        # A mean of wealths that are all at most 1 is no new best; most units end here, without three exponentials.
        return max(before, self.evidence(logs)) if max(logs) > 0.0 else before


PROMOTE = Bets((0.025, 0.05, 0.10), (0.25, 0.5, 0.25))
ROLLBACK = Bets((0.05, 0.15, 0.40), (0.4, 0.4, 0.2))

PROMOTE_AT = 20.0
"""Evidence at which a candidate is promoted: at most one in twenty candidates that are no better is."""

ROLLBACK_AT = 10.0
"""Evidence at which a candidate is rolled back: at most one in ten candidates that are no worse is."""


def checked_margin(margin: float) -> float:
    """Return the margin; one that is no possible effect raises ValueError."""
    if not -1.0 < margin < 1.0:
        raise ValueError(f"margin={margin} is no effect on a loss in [0, 1]: it lies between -1 and 1")
    return margin


def _nothing_won() -> list[float]:
    return [0.0, 0.0, 0.0]


@dataclass(slots=True)
class Comparison:
    """Evidence about one candidate; `update` once a unit, in the order of assignment.

    Attributes:
        margin: Loss that is tolerated, in (−1, 1): rollback is evidence against "effect ≤ margin". Promotion is always
            evidence against "effect ≥ 0".
        centre: Predicts losses from past units.
        promote_logs: Log-wealth of each stake of `PROMOTE`.
        rollback_logs: Log-wealth of each stake of `ROLLBACK`.
        best_promote: The largest `promote` ever was.
        best_rollback: The largest `rollback` ever was.
        units: Units seen, other arms included.
        candidate_units: Units of the candidate's arm.
        control_units: Units of control.
        candidate_loss: Σ of the candidate's losses.
        control_loss: Σ of control's losses.
    """

    margin: float = 0.0
    centre: Centre = field(default_factory=Centre)
    promote_logs: list[float] = field(default_factory=_nothing_won)
    rollback_logs: list[float] = field(default_factory=_nothing_won)
    best_promote: float = 1.0
    best_rollback: float = 1.0
    units: int = 0
    candidate_units: int = 0
    control_units: int = 0
    candidate_loss: float = 0.0
    control_loss: float = 0.0

    def __post_init__(self) -> None:
        checked_margin(self.margin)

    def update(
        self, loss: float, *, candidate: bool | None, p_candidate: float, p_control: float, category: str = ""
    ) -> None:
        """Count one unit.

        Args:
            loss: The unit's loss, cut to [0, 1].
            candidate: True for the candidate's arm, False for control, None for another arm of the experiment: then
                only the prediction of losses learns.
            p_candidate: Probability of the candidate's arm, as logged when the unit was assigned, in (0, 1).
            p_control: The same of control; both together at most 1.
            category: Task category, for a better prediction of the loss; "" for none.

        Raises:
            ValueError: The loss is NaN, or a probability is out of its range; nothing was counted.
        """
        step = take(
            self.centre, loss, candidate=candidate, p_candidate=p_candidate, p_control=p_control, category=category
        )
        self.units += 1
        if step is None:
            return
        if candidate:
            self.candidate_units += 1
            self.candidate_loss += clipped(loss)
        else:
            self.control_units += 1
            self.control_loss += clipped(loss)
        gain, variance, highest, lowest = step
        self.promote_logs = PROMOTE.won(self.promote_logs, -gain, variance, highest)
        tolerated = self.margin / (p_candidate + p_control)
        self.rollback_logs = ROLLBACK.won(self.rollback_logs, gain - tolerated, variance, lowest + tolerated)
        self.best_promote = PROMOTE.best(self.best_promote, self.promote_logs)
        self.best_rollback = ROLLBACK.best(self.best_rollback, self.rollback_logs)

    @property
    def promote(self) -> float:
        """Evidence that the candidate's loss is lower than control's; reach `PROMOTE_AT`."""
        return PROMOTE.evidence(self.promote_logs)

    @property
    def rollback(self) -> float:
        """Evidence that the candidate's loss is higher than control's by more than the margin; reach `ROLLBACK_AT`."""
        return ROLLBACK.evidence(self.rollback_logs)

    @property
    def candidate_mean(self) -> float | None:
        """Mean loss of the candidate's units; under a ramp and a drift it says nothing about the effect."""
        return self.candidate_loss / self.candidate_units if self.candidate_units else None

    @property
    def control_mean(self) -> float | None:
        """Mean loss of control's units."""
        return self.control_loss / self.control_units if self.control_units else None

    def plain(self) -> dict[str, object]:
        """Return the state as JSON-able values that `load` turns back exactly."""
        return {
            "margin": self.margin,
            "centre": self.centre.plain(),
            "promote_logs": list(self.promote_logs),
            "rollback_logs": list(self.rollback_logs),
            "best_promote": self.best_promote,
            "best_rollback": self.best_rollback,
            "units": self.units,
            "candidate_units": self.candidate_units,
            "control_units": self.control_units,
            "candidate_loss": self.candidate_loss,
            "control_loss": self.control_loss,
        }

    @classmethod
    def load(cls, plain: Mapping[str, Any]) -> Comparison:
        """Return the comparison that `plain` described.

        Raises:
            KeyError: A value is missing.
            ValueError: A value is none, or the state is that of other stakes.
        """
        return cls(
            margin=float(plain["margin"]),
            centre=Centre.load(plain["centre"]),
            promote_logs=PROMOTE.load(plain["promote_logs"]),
            rollback_logs=ROLLBACK.load(plain["rollback_logs"]),
            best_promote=float(plain["best_promote"]),
            best_rollback=float(plain["best_rollback"]),
            units=int(plain["units"]),
            candidate_units=int(plain["candidate_units"]),
            control_units=int(plain["control_units"]),
            candidate_loss=float(plain["candidate_loss"]),
            control_loss=float(plain["control_loss"]),
        )
