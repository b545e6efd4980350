"""The nine terms of the loss, each normalised to [0, 1], and the evidence they read.

A term without evidence is missing, not zero. Counts become 1 − exp(−n): one is .63, two .86, never quite 1. Overruns
are (actual − limit) / limit, capped at 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known about a run when its loss is computed; stored with the loss as its inputs."""

    gates: list[float] = []
    """Scores of the gates, each in [0, 1]."""
    signals: dict[str, float] = {}
    """Latest value of every numeric signal, by name."""
    success: bool | None = None
    quality: float | None = None
    user_accepted: bool | None = None
    user_rating: int | None = None
    cost_usd: float | None = None
    budget_usd: float | None = None
    latencies_s: list[float] = []
    latency_target_s: float | None = None


Measure = Callable[[Evidence], float | None]


class Term(msgspec.Struct, frozen=True):
    """One term: its default weight, how it is measured, and whether it can be averaged away."""

    weight: float
    measure: Measure
    veto: bool = False


def run_quality(evidence: Evidence) -> float | None:
    """Return the quality that learning credits to the run's model, in [0, 1], or None without evidence.

    The strongest evidence there is decides: a graded quality, else what a person said (accepted, rating 1 to 5), else
    success, else the mean of the gates.
    """
    verdict = outcome(evidence)
    if verdict is not None:
        return verdict
    return math.fsum(evidence.gates) / len(evidence.gates) if evidence.gates else None


def outcome(evidence: Evidence) -> float | None:
    """Return the verdict on the run as a whole, in [0, 1], gates left aside."""
    if evidence.quality is not None:
        return evidence.quality
    if evidence.user_accepted is not None:
        return float(evidence.user_accepted)
    if evidence.user_rating is not None:
        return (evidence.user_rating - 1) / 4
    return None if evidence.success is None else float(evidence.success)


def _gate_failures(evidence: Evidence) -> float | None:
    verdict = outcome(evidence)
    gates = evidence.gates if verdict is None else [*evidence.gates, verdict]  # the outcome counts as one more gate
    return 1.0 - math.fsum(gates) / len(gates) if gates else None


def _count(name: str) -> Measure:
    def measure(evidence: Evidence) -> float | None:
        found = evidence.signals.get(name)
        return None if found is None else -math.expm1(-max(0.0, found))

    return measure


def _shortfall(name: str) -> Measure:
    def measure(evidence: Evidence) -> float | None:
        found = evidence.signals.get(name)
        return None if found is None else 1.0 - min(1.0, max(0.0, found))

    return measure


def _overrun(actual: float | None, limit: float | None) -> float | None:
    if actual is None or limit is None or limit <= 0:
        return None
    return min(1.0, max(0.0, actual - limit) / limit)


def _latency(evidence: Evidence) -> float | None:
    return _overrun(percentile_95(evidence.latencies_s), evidence.latency_target_s)


def percentile_95(values: Sequence[float]) -> float | None:
    """Return the 95th percentile by linear interpolation (Hyndman and Fan's type 7), or None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    position = 0.95 * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


TERMS: Mapping[str, Term] = {
    "gate_failures": Term(0.30, _gate_failures),
    "contradictions": Term(0.10, _count("contradictions")),
    "ungrounded": Term(0.10, _shortfall("grounding")),
    "cost_overrun": Term(0.15, lambda e: _overrun(e.cost_usd, e.budget_usd)),
    "latency_overrun": Term(0.10, _latency),
    "security": Term(0.10, _count("security_criticals"), veto=True),
    "api_breakages": Term(0.05, _count("api_breakages")),
    "migration_failures": Term(0.05, _count("migration_failures"), veto=True),
    "rag_uncovered": Term(0.05, _shortfall("rag_coverage")),
}
