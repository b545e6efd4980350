"""Judge an off-policy difference: pass, fail, or say why the logged runs cannot tell and how many more would.

A difference is the target's loss minus the baseline's. Harm proven, however small, outweighs the margin.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from burnish.stats.offpolicy import Difference, half_width, widened

Verdict: TypeAlias = Literal["pass", "fail", "inconclusive"]
Ground: TypeAlias = Literal["interval", "no support", "too few effective runs", "estimators disagree"]

LEAST_SUPPORT = 0.95
"""Share of what the target would do that must have been explored."""

LEAST_ESS = 50.0
MOST_MORE_RUNS = 1_000_000
"""Beyond this many further runs a wait is called hopeless."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a difference allows to be said.

    Attributes:
        verdict: `pass` when the target is surely less than the margin worse, `fail` when it is surely worse.
        ground: What decided. Everything but `interval` means that the data cannot answer.
        more_runs: About how many further runs like these would decide; None when decided or hopeless.
    """

    verdict: Verdict
    ground: Ground
    more_runs: int | None = None

    @property
    def refused(self) -> bool:
        """Tell whether no answer was given because of what was logged."""
        return self.ground != "interval"


def judge(found: Difference, *, margin: float, least_ess: float = LEAST_ESS) -> Judgement:
    """Judge a difference in loss: harm proven, however small, outweighs the margin.

    The self-normalised estimate must take the same side as the verdict. A verdict is refused without support or with
    fewer effective runs than `least_ess`.

    Args:
        found: The difference.
        margin: Rise of the mean loss that is acceptable, ≥ 0.
        least_ess: Effective runs below which nothing is said.
    """
    if found.support < LEAST_SUPPORT:
        return Judgement("inconclusive", "no support")
    if found.ess < least_ess:
        return Judgement("inconclusive", "too few effective runs", _more_effective(found, least_ess))
    if found.low > 0.0:
        agreed = found.snips > 0.0
        return Judgement("fail", "interval") if agreed else Judgement("inconclusive", "estimators disagree")
    if found.high < margin:
        agreed = found.snips < (0.0 if found.high < 0.0 else margin)
        return Judgement("pass", "interval") if agreed else Judgement("inconclusive", "estimators disagree")
    return Judgement("inconclusive", "interval", _more_certain(found, margin))


def _more_effective(found: Difference, least_ess: float) -> int | None:
    if found.ess <= 0.0:
        return None
    more = math.ceil(found.runs * (least_ess / found.ess - 1.0))
    return more if more <= MOST_MORE_RUNS else None


def _more_certain(found: Difference, margin: float) -> int | None:
    """Return how many more runs would decide, if value and sd stayed as they are."""
    below, above = margin - found.value - found.slack, found.value - found.slack
    room = max(below, above)

    def decided(more: int) -> bool:
        runs = found.runs + more
        sd = widened(found.sd, found.ess * runs / found.runs)
        return half_width(runs, sd, alpha=found.alpha, planned=found.planned) < room

    return _first(decided) if room > 0.0 and decided(MOST_MORE_RUNS) else None


def _first(holds: Callable[[int], bool]) -> int:
    """Return the least number in [1, MOST_MORE_RUNS] from which on it holds."""
    low, high = 0, MOST_MORE_RUNS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
