"""The hold-back after a promotion: the old policy keeps a small share, so that harm that starts late has a control."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from burnish.stats.detector import HarmDetector
from burnish.trial.plan import HoldbackPlan
from burnish.trial.unit import Unit, Verdict


class Holdback:
    """The state of one hold-back. Arm 0 is the old policy, arm 1 the one in charge."""

    def __init__(self, plan: HoldbackPlan, state: Mapping[str, Any] | None = None) -> None:
        self.plan = plan
        found: Mapping[str, Any] = state or {}
        self.units = int(found.get("units", 0))
        self.metric = str(found.get("metric", ""))
        self.detector = self._fresh() if "detector" not in found else HarmDetector.load(found["detector"])

    def plain(self) -> dict[str, object]:
        """Return the state as plain data."""
        return {"units": self.units, "metric": self.metric, "detector": self.detector.plain()}

    @property
    def shares(self) -> list[float]:
        """Return the share of the policy in charge."""
        return [1.0 - self.plan.share]

    def read(self, unit: Unit) -> list[Verdict]:
        """Count one unit; returns a rollback on the alarm, and an end without a finding after the last unit."""
        if unit.metric and unit.metric != self.metric:
            self.detector = self._fresh() if self.metric else self.detector
            self.metric = unit.metric
        self.units += 1
        self.detector.update(
            unit.loss,
            candidate=unit.arm == 1,
            p_candidate=unit.probabilities[1],
            p_control=unit.probabilities[0],
            category=unit.category,
        )
        if self.detector.alarmed:
            reason = (
                f"its loss became higher than that of the policy it replaced: evidence {self.detector.best:.3g} of "
                f"{self.detector.alarm:g}, {self.units:,} runs after its promotion"
            )
            return [Verdict(action="rollback", candidate=0, reason=reason)]
        if self.units >= self.plan.units:
            return [Verdict(action="finished", candidate=None, reason=f"no late harm in {self.units:,} runs")]
        return []

    def _fresh(self) -> HarmDetector:
        return HarmDetector(alarm=self.plan.alarm)
