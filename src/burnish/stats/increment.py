"""Turn one unit of a randomised comparison into an unbiased difference of losses.

`D = (Y − m)·(1[candidate]/p₁ − 1[control]/p₀)` has mean *effect* (candidate's loss minus control's) whatever the
prediction m and the probabilities are, as long as both were fixed before the unit was assigned: that is what makes a
ramp, a drift of the traffic and a bad prediction harmless. A good prediction only makes D less noisy. Source: augmented
inverse-probability weighting; Waudby-Smith et al., "Anytime-valid off-policy inference", arXiv 2210.10768.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

CATEGORY_MASS = 5.0
"""Losses that the overall mean weighs in the mean of a category.

Measured (median runs to decide ±.05 at 50 %): 40 categories that explain half of the variance save 23 and 40 %, 40 that
explain nothing cost 3 and 6 %. With 1 it is 28 and 47 % against 12 and 12 %.
"""

LARGEST_VARIANCE = 0.25
"""Variance of a loss in [0, 1] at its worst: counted as one past observation, so nobody bets high on a first lucky one.

Counting it as ten changed no median by more than 7 % (2,000 replicates, three shapes, three splits).
"""

MOST_CATEGORIES = 256
"""Categories that get a mean of their own; a later one is predicted by the overall mean, so a state stays small."""

SUM_SLACK = 1e-9


class Increment(NamedTuple):
    """What one unit says about the effect.

    Attributes:
        difference: D, whose mean given the past is the effect.
        variance: What D's variance is expected to be, from the past: s²·(1/p₁ + 1/p₀).
        highest: The largest D that was possible before the loss and the arm were known; ≥ 1.
        lowest: Minus the smallest D that was possible; ≥ 1.
    """

    difference: float
    variance: float
    highest: float
    lowest: float


@dataclass(slots=True)
class Centre:
    """Predict the next loss from the past ones: the running mean of its category, shrunk to the overall mean.

    Attributes:
        count: Losses seen.
        total: Σ of losses.
        squares: Σ (loss − prediction)².
        categories: For each category, [losses seen, Σ of losses].
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    categories: dict[str, list[float]] = field(default_factory=dict)

    def predict(self, category: str = "") -> float:
        """Return m, the loss expected of the next unit, in [0, 1]; ½ before the first."""
        overall = (0.5 + self.total) / (1.0 + self.count)
        seen = self.categories.get(category)
        return overall if seen is None else (CATEGORY_MASS * overall + seen[1]) / (CATEGORY_MASS + seen[0])

    @property
    def variance(self) -> float:
        """Mean squared error of the predictions so far, in (0, 1]."""
        return (LARGEST_VARIANCE + self.squares) / (1.0 + self.count)

    def learn(self, loss: float, predicted: float, category: str = "") -> None:
        """Count one loss in [0, 1] that had been predicted as `predicted`; the category "" has no mean of its own."""
        self.count += 1
        self.total += loss
        self.squares += (loss - predicted) ** 2
        if category:
            seen = self.categories.get(category)
            if seen is not None:
                seen[0] += 1.0
                seen[1] += loss
            elif len(self.categories) < MOST_CATEGORIES:
                self.categories[category] = [1.0, loss]

    def plain(self) -> dict[str, object]:
        """Return the state as JSON-able values that `load` turns back exactly."""
        return {
            "count": self.count,
            "total": self.total,
            "squares": self.squares,
            "categories": {name: list(sums) for name, sums in self.categories.items()},
        }

    @classmethod
    def load(cls, plain: Mapping[str, Any]) -> Centre:
        """Return the centre that `plain` described."""
        return cls(
            count=int(plain["count"]),
            total=float(plain["total"]),
            squares=float(plain["squares"]),
            categories={name: [float(n), float(total)] for name, (n, total) in plain["categories"].items()},
        )


def clipped(loss: float) -> float:
    """Return the loss cut to [0, 1]; NaN raises ValueError, because a missing score must be decided by the caller."""
    if 0.0 <= loss <= 1.0:
        return loss
    if loss != loss:  # noqa: PLR0124 - only NaN differs from itself, and math.isnan costs a call
        raise ValueError("loss is NaN: a unit without a score by its deadline counts as loss 1")
    return 0.0 if loss < 0.0 else 1.0


def take(
    centre: Centre, loss: float, *, candidate: bool | None, p_candidate: float, p_control: float, category: str
) -> Increment | None:
    """Return the increment of one unit and let the centre learn its loss afterwards.

    Args:
        centre: Predicts from past units only; changed by this call.
        loss: Cut to [0, 1].
        candidate: True for the candidate's arm, False for control, None for another arm, whose increment is 0 (None
            is returned) and whose probabilities do not matter.
        p_candidate: Probability of the candidate's arm when the unit was assigned, in (0, 1).
        p_control: The same of control; both together at most 1.
        category: Task category, for a better prediction; "" for none.

    Raises:
        ValueError: The loss is NaN, or a probability is out of its range. The centre is then unchanged.
    """
    loss = clipped(loss)
    if candidate is None:
        centre.learn(loss, centre.predict(category), category)
        return None
    if not (0.0 < p_candidate < 1.0 and 0.0 < p_control < 1.0 and p_candidate + p_control <= 1.0 + SUM_SLACK):
        raise ValueError(
            f"p_candidate={p_candidate} and p_control={p_control} are no probabilities of two arms: "
            "each lies between 0 and 1, together at most 1"
        )
    m, variance = centre.predict(category), centre.variance
    centre.learn(loss, m, category)
    return Increment(
        (loss - m) / p_candidate if candidate else (m - loss) / p_control,
        variance * (1.0 / p_candidate + 1.0 / p_control),
        max((1.0 - m) / p_candidate, m / p_control),
        max(m / p_candidate, (1.0 - m) / p_control),
    )
