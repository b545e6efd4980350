"""A canary as it is counted: units in the order of their assignment, each read once, and what that decides.

Everything here is arithmetic on one state. It is a pure function of the plan and the units in order, so the state can
be computed anew from the assignments at any time. It does not know the store, policies or the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from burnish.stats.comparison import Comparison
from burnish.stats.sample_ratio import SampleRatio
from burnish.trial.guards import Guards
from burnish.trial.plan import CanaryPlan
from burnish.trial.unit import Unit, Verdict


class ArmSums(msgspec.Struct, kw_only=True):
    """What is told of one arm beside the test; under a ramp and a drift it proves nothing."""

    units: int = 0
    unscored: int = 0
    loss: float = 0.0
    loss_sq: float = 0.0
    costs: int = 0
    cost: float = 0.0
    durations: int = 0
    duration: float = 0.0
    errors: float = 0.0
    vetoes: float = 0.0


class Canary:
    """The state of one canary.

    Attributes:
        units: Units read so far.
        step: Index of the ramp's step in force.
        won: The candidate whose evidence sufficed, or None.
        frozen: Why nothing may be promoted, or None.
        out: Candidates that were rolled back while others went on.
        told: What a dry run would have done: action and candidate → reason.
        metric: Fingerprint of the weights that the losses read so far were made with.
    """

    def __init__(self, plan: CanaryPlan, candidates: int, state: Mapping[str, Any] | None = None) -> None:
        self.plan = plan
        self.candidates = candidates
        found: Mapping[str, Any] = state or {}
        self.units = int(found.get("units", 0))
        self.step = int(found.get("step", 0))
        self.won: int | None = found.get("won")
        self.frozen: str | None = found.get("frozen")
        self.out: list[int] = [int(k) for k in found.get("out", ())]
        self.told: dict[str, str] = dict(found.get("told", {}))
        self.metric = str(found.get("metric", ""))
        tests = found.get("comparisons")
        self.comparisons = [Comparison.load(t) for t in tests] if tests else [Comparison() for _ in range(candidates)]
        self.ratio = SampleRatio.load(found["ratio"]) if "ratio" in found else SampleRatio()
        self.guards = Guards(plan.guardrails, candidates, found.get("guards"))
        arms = found.get("arms")
        self.arms = msgspec.convert(arms, list[ArmSums]) if arms else [ArmSums() for _ in range(candidates + 1)]

    def plain(self) -> dict[str, object]:
        """Return the state as plain data; `Canary(plan, candidates, plain)` is the same canary."""
        return {
            "units": self.units,
            "step": self.step,
            "won": self.won,
            "frozen": self.frozen,
            "out": self.out,
            "told": self.told,
            "metric": self.metric,
            "comparisons": [test.plain() for test in self.comparisons],
            "ratio": self.ratio.plain(),
            "guards": self.guards.plain(),
            "arms": msgspec.to_builtins(self.arms),
        }

    @property
    def shares(self) -> list[float]:
        """Return the share of each candidate at the step in force."""
        share = self.plan.ramp[self.step].share
        # With k candidates the control keeps at least as much as any of them.
        each = min(share, 1.0 / (self.candidates + 1))
        return [0.0 if k in self.out else each for k in range(self.candidates)]

    @property
    def promote_at(self) -> float:
        """Return the evidence that promotes: one in twenty divided among the candidates (Bonferroni)."""
        return self.plan.promote_at * self.candidates

    @property
    def rollback_at(self) -> float:
        """Return the evidence that rolls a candidate back; each is a test of its own, and a rollback is cheap."""
        return self.plan.rollback_at

    def read(self, unit: Unit) -> list[Verdict]:
        """Count one unit, the next in the order of assignment; returns what that decides."""
        if unit.metric and unit.metric != self.metric:
            self._measure(unit.metric)
        self.units += 1
        self._describe(unit)
        if sum(unit.probabilities) > 0:
            self.ratio.update(unit.arm, unit.probabilities)
        verdicts: list[Verdict] = []
        for k, test in enumerate(self.comparisons):
            control, mine = unit.probabilities[0], unit.probabilities[k + 1]
            if k in self.out or not mine > 0.0 or not control > 0.0:
                continue
            side = {0: False, k + 1: True}.get(unit.arm)
            odds = {"candidate": side, "p_candidate": mine, "p_control": control}
            test.update(unit.loss, category=unit.category, **odds)  # type: ignore[arg-type]  # see the keys above
            tripped = self.guards.read(k, unit, side=side, p_candidate=mine, p_control=control)
            verdicts.extend(self._decided(k, test, tripped))
        if unit.arm == 0:
            self.guards.learn(unit)
        self._climb()
        if not verdicts and self.won is None and self.units >= self.plan.n_max:
            reason = f"{self.units:,} runs showed neither that it is better nor that it is worse"
            verdicts.append(Verdict(action="inconclusive", candidate=None, reason=reason))
        return verdicts

    def _decided(self, k: int, test: Comparison, tripped: str | None) -> list[Verdict]:
        if tripped is not None:
            return [Verdict(action="rollback", candidate=k, reason=tripped)]
        if test.best_rollback >= self.rollback_at:
            reason = (
                f"its loss is higher than the control's: evidence {test.best_rollback:.3g}, "
                f"{self.rollback_at:g} was needed, after {test.units:,} runs, {test.candidate_units:,} of them its own"
            )
            return [Verdict(action="rollback", candidate=k, reason=reason)]
        if self.ratio.alarmed and self.frozen is None:
            self.frozen = (
                "the arms do not hold the runs they were assigned (sample ratio mismatch, "
                f"evidence {self.ratio.best:.3g} of {self.ratio.alarm:g}): results of one arm are being lost"
            )
        if self.won is None and self.frozen is None and test.best_promote >= self.promote_at:
            self.won = k
            reason = (
                f"its loss is lower than the control's: evidence {test.best_promote:.3g}, {self.promote_at:g} was "
                f"needed, after {test.units:,} runs, {test.candidate_units:,} of them its own"
            )
            return [Verdict(action="promote", candidate=k, reason=reason)]
        return []

    def _measure(self, metric: str) -> None:
        """Begin the tests anew when what is measured has changed: losses of two kinds cannot be compared."""
        if self.metric:
            self.comparisons = [Comparison() for _ in range(self.candidates)]
            self.arms = [ArmSums() for _ in range(self.candidates + 1)]
            self.units, self.won = 0, None
        self.metric = metric

    def _climb(self) -> None:
        """Go to the next step of the ramp once this one has had its units."""
        reached = 0
        for index, step in enumerate(self.plan.ramp[:-1]):
            reached += step.units
            if self.units >= reached:
                self.step = max(self.step, index + 1)

    def _describe(self, unit: Unit) -> None:
        sums = self.arms[unit.arm]
        sums.units += 1
        sums.unscored += not unit.scored
        sums.loss += unit.loss
        sums.loss_sq += unit.loss * unit.loss
        if unit.cost_usd is not None:
            sums.costs += 1
            sums.cost += unit.cost_usd
        if unit.duration_s is not None:
            sums.durations += 1
            sums.duration += unit.duration_s
        sums.errors += unit.error or 0.0
        sums.vetoes += unit.vetoed or 0.0
