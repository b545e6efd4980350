"""Learn which arm rescues a run that another arm failed, and order the attempts.

Failures are correlated: the arm that is second best overall may be nearly useless where the best one failed. So the
chance of a rescue is learned from attempts *after* a failure, never from overall success. For the same reason, an
attempt after a failure says nothing fair about an arm's overall quality: it must not be counted in the quality cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

RESCUE_SHARE = 0.6
"""Chance of rescuing another's failure as a share of the chance of success, before any rescue was tried.

Measured: .55 to .75 for most pairs of models on three public matrices, down to .05 for near relatives.
"""

MASS = 5.0
"""Attempts that each broader level weighs against the level below it."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """Additive counters of attempts and of those that succeeded; `succeeded` may be a sum of scores in [0, 1]."""

    tried: float = 0.0
    succeeded: float = 0.0

    def __add__(self, other: Attempts) -> Attempts:
        """Return the counters of both."""
        return Attempts(self.tried + other.tried, self.succeeded + other.succeeded)

    def toward(self, guess: float, mass: float = MASS) -> float:
        """Return the success rate, with `guess` counted as `mass` further attempts."""
        return (self.succeeded + mass * guess) / (self.tried + mass)


@dataclass(frozen=True, slots=True)
class RescueRecord:
    """What is known of arm j's attempts after arm i failed, from the narrowest record to the broadest.

    Each broader record includes the narrower ones.

    Attributes:
        same_kind_and_type: After i failed in this way on this task type.
        same_pair: After i failed, in any way on any type.
        any_failure: After any arm failed.
    """

    same_kind_and_type: Attempts = Attempts()
    same_pair: Attempts = Attempts()
    any_failure: Attempts = Attempts()


def rescue_probability(record: RescueRecord, quality: float) -> float:
    """Return P(j succeeds | i failed in this way on this type), shrunk level by level.

    Args:
        record: Counters of j's attempts after a failure.
        quality: Arm j's expected quality on the type, in [0, 1], from its cell.
    """
    anywhere = record.any_failure.toward(RESCUE_SHARE * quality)
    with_pair = record.same_pair.toward(anywhere)
    return record.same_kind_and_type.toward(with_pair)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An arm that could be tried next.

    Attributes:
        probability: Chance that it succeeds given what has failed, in [0, 1].
        penalty: What the attempt costs in units of quality: price × cost + weight × latency, ≥ 0.
    """

    probability: float
    penalty: float

    def gain(self, worth: float) -> float:
        """Return the expected value of the attempt when a success is worth `worth`."""
        return self.probability * worth - self.penalty


def order_until_success(candidates: Mapping[str, Candidate], *, worth: float | None = None) -> list[str]:
    """Return arms by probability per penalty, highest first: the cheapest order when attempts are independent.

    Call again after each failure with probabilities given that failure; the order often flips.

    Args:
        candidates: Arms by name; ties go to the higher probability, then to the name.
        worth: What a success is worth in units of quality; arms whose expected value is not positive are left out, so
            an empty list means stop. None tries every arm.
    """
    worthwhile = {name: option for name, option in candidates.items() if worth is None or option.gain(worth) > 0.0}
    return sorted(worthwhile, key=lambda name: (-_efficiency(worthwhile[name]), -worthwhile[name].probability, name))


def _efficiency(candidate: Candidate) -> float:
    if candidate.penalty > 0.0:
        return candidate.probability / candidate.penalty
    return float("inf") if candidate.probability > 0.0 else 0.0


def price_of_first_attempt(price: float, rescue_value: float) -> float:
    """Return the price to choose a first attempt with when a failed one will be followed by a fallback chain.

    Success at once is worth 1 and a failure still `rescue_value`, so utility is q·(1 − rescue_value) − price·cost,
    which orders arms like q − price / (1 − rescue_value)·cost: the better the fallback, the cheaper the first attempt.
    """
    return price / max(1.0 - rescue_value, 0.05)
