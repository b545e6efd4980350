"""Say how large an effect is, with an interval that may be looked at after each run; Welch's t as description.

The interval inverts the evidence of `comparison.py` and is computed anew from the log of events: it costs a fraction of
a second, the evidence itself microseconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from burnish.stats.increment import Centre, take
from burnish.stats.inversion import Array, Increments, bounds

_STEPS = 10_000
_PRECISION = 1e-15
_TINY = 1e-300


class Effect(NamedTuple):
    """Candidate's mean loss minus control's: an estimate and its anytime-valid interval, all in [−1, 1].

    Of no units: 0, from −1 to 1. When the effect changed so much that no constant one fits, it was above `low` at some
    time and below `high` at another.
    """

    estimate: float
    low: float
    high: float


class Welch(NamedTuple):
    """Welch's test: difference of means (candidate − control), t, and its two-sided p."""

    difference: float
    t: float
    p: float


def effect_interval(
    losses: Sequence[float],
    arms: Sequence[bool | None],
    p_candidate: Sequence[float],
    p_control: Sequence[float],
    categories: Sequence[str] | None = None,
    alpha: float = 0.05,
) -> Effect:
    """Return the effect from the log of a canary; all sequences in the order of assignment, of one length.

    The estimate is the mean of the increments, each weighted by 1/(1/p₁ + 1/p₀) (augmented inverse-probability
    weighting with overlap weights): without bias under ramps and drift, as long as the effect does not change.

    Args:
        losses: Cut to [0, 1].
        arms: True for the candidate, False for control, None for another arm.
        p_candidate: Probability of the candidate's arm, logged at assignment, in (0, 1).
        p_control: The same of control.
        categories: Task categories; none when absent.
        alpha: Probability, at most, that the interval ever misses a constant effect.

    Raises:
        ValueError: A loss is NaN, a probability is out of its range, α lies outside (0, 1), or lengths differ.
    """
    increments, weight = replayed(losses, arms, p_candidate, p_control, categories)
    low, high = bounds(increments, alpha)
    total = float(weight @ increments.unit)
    estimate = float(weight @ increments.difference) / total if total else 0.0
    return Effect(min(max(estimate, -1.0), 1.0), min(low, high), max(low, high))


def replayed(
    losses: Sequence[float],
    arms: Sequence[bool | None],
    p_candidate: Sequence[float],
    p_control: Sequence[float],
    categories: Sequence[str] | None = None,
) -> tuple[Increments, Array]:
    """Return the increments of both arms' units, as `Comparison.update` makes them, and each one's overlap weight."""
    centre = Centre()
    steps: list[tuple[float, float, float, float, float, float]] = []
    names = [""] * len(losses) if categories is None else categories
    for loss, arm, p1, p0, name in zip(losses, arms, p_candidate, p_control, names, strict=True):
        step = take(centre, loss, candidate=arm, p_candidate=p1, p_control=p0, category=name)
        if step is not None:
            steps.append((*step, 1.0 / (p1 + p0), p1 * p0 / (p1 + p0)))
    columns = np.array(steps, dtype=np.float64).reshape(-1, 6).T
    return Increments(*columns[:5]), columns[5]


def welch(candidate_losses: Sequence[float], control_losses: Sequence[float]) -> Welch:
    """Return Welch's t-test of two arms: description only, no evidence.

    Read every 20 runs, it calls half of all equal canaries different; read once, but pooled over a ramp while traffic
    drifts, all of them (`benchmarks/results/canary.md`). With fewer than two losses in an arm, t is 0 and p is 1;
    without any spread and with a difference, t is infinite and p is 0. Source: Welch, Biometrika 1947.
    """
    first, second = (np.asarray(losses, dtype=np.float64) for losses in (candidate_losses, control_losses))
    if not (len(first) and len(second)):
        return Welch(0.0, 0.0, 1.0)
    difference = float(first.mean() - second.mean())
    if min(len(first), len(second)) < 2:
        return Welch(difference, 0.0, 1.0)
    squares = [float(each.var(ddof=1)) / len(each) for each in (first, second)]
    total = sum(squares)
    if total <= 0.0:
        return Welch(difference, math.copysign(math.inf, difference), 0.0) if difference else Welch(0.0, 0.0, 1.0)
    t = difference / math.sqrt(total)
    degrees = 1.0 / sum(
        (square / total) ** 2 / (len(each) - 1) for square, each in zip(squares, (first, second), strict=True)
    )
    return Welch(difference, t, student_p(t, degrees))


def student_p(t: float, degrees: float) -> float:
    """Return P(|T| ≥ |t|) of Student's t with `degrees` > 0 degrees of freedom: the incomplete beta I_x(ν/2, ½)."""
    return _incomplete_beta(degrees / 2.0, 0.5, degrees / (degrees + t * t), t * t / (degrees + t * t))


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """Return I_x(a, b), `rest` being 1 − x, by the continued fraction of DLMF 8.17.22."""
    if x <= 0.0 or rest <= 0.0:
        return 0.0 if x <= 0.0 else 1.0
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - math.exp(front) * _fraction(b, a, rest) / b
    return math.exp(front) * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    """Evaluate the continued fraction of I_x(a, b) by the modified Lentz method."""
    c = 1.0
    value = d = 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    for m in range(1, _STEPS):
        end = a + 2 * m
        for term in (m * (b - m) * x / ((end - 1.0) * end), -(a + m) * (a + b + m) * x / (end * (end + 1.0))):
            d = 1.0 / _away_from_zero(1.0 + term * d)
            c = _away_from_zero(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) < _PRECISION:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
