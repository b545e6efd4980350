"""The loss of a run: a weighted mean of the terms that have evidence, and a floor under it where a veto term speaks."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from burnish.errors import InvalidValue
from burnish.score.terms import TERMS, Evidence, Term


class Part(msgspec.Struct, frozen=True):
    """One line of the breakdown: value × weight = contribution."""

    value: float
    weight: float
    contribution: float


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """A loss in [0, 1], lower is better, with what it is made of.

    The contributions of the breakdown add up to the loss. `coverage` is the share of all weight that had evidence.
    """

    value: float
    coverage: float
    vetoed: bool
    terms: Mapping[str, float | None]
    weights: Mapping[str, float]
    breakdown: Mapping[str, Part]


def weigh(configured: Mapping[str, float] | None, terms: Mapping[str, Term]) -> dict[str, float]:
    """Return a weight for every term, summing to 1: those configured, defaults for the rest.

    Raises:
        InvalidValue: A weight is given for a term that does not exist, or all weights are 0.
    """
    for name in configured or {}:
        if name not in terms:
            raise InvalidValue("score.weights", name, f"there is no such term; the terms are {', '.join(terms)}")
    raw = {name: (configured or {}).get(name, term.weight) for name, term in terms.items()}
    total = math.fsum(raw.values())
    if total <= 0:
        raise InvalidValue("score.weights", configured, "give at least one term a weight above 0")
    return {name: weight / total for name, weight in raw.items()}


def compute(evidence: Evidence, weights: Mapping[str, float], terms: Mapping[str, Term] = TERMS) -> Loss | None:
    """Return the loss, or None when no term of any weight has evidence.

    A missing term's weight is shared over the present ones. With a veto term v the loss is at least v.
    """
    values = {name: _measured(name, term, evidence) for name, term in terms.items()}
    present = {name: value for name, value in values.items() if value is not None and weights[name] > 0}
    covered = math.fsum(weights[name] for name in present)
    floor = max((value for name, value in values.items() if terms[name].veto and value), default=0.0)
    if covered <= 0 and floor <= 0:
        return None
    breakdown = {
        name: Part(value, weights[name] / covered, value * weights[name] / covered) for name, value in present.items()
    }
    mean = math.fsum(part.contribution for part in breakdown.values())
    if floor > mean:
        breakdown["veto"] = Part(floor, 1.0, floor - mean)
    return Loss(
        value=min(1.0, max(mean, floor)),
        coverage=min(1.0, covered),
        vetoed=floor > mean,
        terms=values,
        weights=weights,
        breakdown=breakdown,
    )


def _measured(name: str, term: Term, evidence: Evidence) -> float | None:
    value = term.measure(evidence)
    if value is None:
        return None
    if not 0.0 <= value <= 1.0:
        raise InvalidValue(f"term {name}", value, "a term must return a number from 0 to 1, or None without evidence")
    return value
