"""Guardrails: cost, latency, errors and vetoes of a candidate beside its control, each an e-process of its own.

Every one reads its fact as a number in [0, 1] whose scale is fixed by the past, so that looking after every run does
not raise the rate of false alarms: the cost of a run is read on a scale of four running means, its latency as whether
it was beyond the control's running p95.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from burnish.stats.comparison import Comparison
from burnish.trial.plan import Guardrails
from burnish.trial.unit import Unit

COST_SCALE = 4.0
"""Running means at which a cost counts as 1; what is beyond says no more."""

BUCKET = 1.02
"""Durations are counted in buckets that are 2 % wide."""

ENOUGH = 20
"""Runs of the control from which its p95 and mean cost are known well enough to compare with."""


class Guards:
    """The guardrails of every candidate, and the running scales they share."""

    def __init__(self, limits: Guardrails, candidates: int, state: Mapping[str, Any] | None = None) -> None:
        self._limits = limits
        found: Mapping[str, Any] = state or {}
        self._costs, self._cost = int(found.get("costs", 0)), float(found.get("cost", 0.0))
        self._durations = {int(b): int(n) for b, n in found.get("durations", {}).items()}
        tests = found.get("tests") or [{} for _ in range(candidates)]
        self.tests = [{name: Comparison.load(plain) for name, plain in one.items()} for one in tests]

    def plain(self) -> dict[str, object]:
        """Return the state as plain data."""
        return {
            "costs": self._costs,
            "cost": self._cost,
            "durations": {str(bucket): n for bucket, n in self._durations.items()},
            "tests": [{name: test.plain() for name, test in one.items()} for one in self.tests],
        }

    def read(self, k: int, unit: Unit, *, side: bool | None, p_candidate: float, p_control: float) -> str | None:
        """Read one unit for candidate k; returns why it must be rolled back, or None."""
        tripped = None
        for name, (value, margin) in self._facts(unit).items():
            test = self.tests[k].setdefault(name, Comparison(margin=margin))
            test.update(value, candidate=side, p_candidate=p_candidate, p_control=p_control, category=unit.category)
            if test.best_rollback >= self._limits.alarm and tripped is None:
                tripped = (
                    f"guardrail {name}: evidence {test.best_rollback:.3g} of {self._limits.alarm:g} that it is worse "
                    "than tolerated"
                )
        return tripped

    def _facts(self, unit: Unit) -> dict[str, tuple[float, float]]:
        """Return guardrail → (value in [0, 1], margin)."""
        limits, found = self._limits, {}
        if limits.errors is not None and unit.error is not None:
            found["errors"] = unit.error, limits.errors
        if limits.vetoes is not None and unit.vetoed is not None:
            found["vetoes"] = unit.vetoed, limits.vetoes
        if limits.cost is not None and unit.cost_usd is not None and self._costs >= ENOUGH and self._cost > 0:
            scale = COST_SCALE * self._cost / self._costs
            found["cost"] = min(1.0, unit.cost_usd / scale), limits.cost / COST_SCALE
        slow = self.slow_from
        if limits.latency is not None and unit.duration_s is not None and slow is not None:
            found["latency"] = float(unit.duration_s > slow), limits.latency
        return found

    @property
    def slow_from(self) -> float | None:
        """Return the control's running p95 duration in seconds, or None while too few runs are known."""
        total = sum(self._durations.values())
        if total < ENOUGH:
            return None
        reached = 0
        for bucket in sorted(self._durations):
            reached += self._durations[bucket]
            if reached >= 0.95 * total:
                return float(BUCKET ** (bucket + 1))
        return None

    def learn(self, unit: Unit) -> None:
        """Let the running scales learn one unit of the control."""
        if unit.cost_usd is not None:
            self._costs += 1
            self._cost += unit.cost_usd
        if unit.duration_s is not None and unit.duration_s > 0:
            bucket = math.floor(math.log(unit.duration_s) / math.log(BUCKET))
            self._durations[bucket] = self._durations.get(bucket, 0) + 1
