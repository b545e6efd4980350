"""A shadow as it is counted: the same input through both policies, one pair at a time, and what that decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from burnish.stats.paired import Paired
from burnish.trial.plan import ShadowPlan
from burnish.trial.unit import Verdict


class Shadow:
    """The state of one shadow.

    Attributes:
        pairs: Pairs read so far.
        spent_usd: What the candidate's side has cost.
        failures: Pairs in which the candidate's side raised or timed out; each counts as loss 1.
    """

    def __init__(self, plan: ShadowPlan, state: Mapping[str, Any] | None = None) -> None:
        self.plan = plan
        found: Mapping[str, Any] = state or {}
        self.pairs = int(found.get("pairs", 0))
        self.failures = int(found.get("failures", 0))
        self.spent_usd = float(found.get("spent_usd", 0.0))
        self.control_loss = float(found.get("control_loss", 0.0))
        self.candidate_loss = float(found.get("candidate_loss", 0.0))
        self.test = Paired.load(found["test"]) if "test" in found else Paired(margin=plan.margin)

    def plain(self) -> dict[str, object]:
        """Return the state as plain data."""
        return {
            "pairs": self.pairs,
            "failures": self.failures,
            "spent_usd": self.spent_usd,
            "control_loss": self.control_loss,
            "candidate_loss": self.candidate_loss,
            "test": self.test.plain(),
        }

    @property
    def affordable(self) -> bool:
        """Tell whether another pair is within the budget, at the mean cost so far."""
        if self.plan.budget_usd is None:
            return True
        mean = self.spent_usd / self.pairs if self.pairs else 0.0
        return self.spent_usd + mean <= self.plan.budget_usd

    def read(self, *, control: float, candidate: float, cost_usd: float, failed: bool) -> Verdict | None:
        """Count one pair of losses, each in [0, 1]; returns what that decides."""
        self.pairs += 1
        self.failures += failed
        self.spent_usd += cost_usd
        self.control_loss += control
        self.candidate_loss += candidate
        self.test.update(candidate - control)
        delta = (self.candidate_loss - self.control_loss) / self.pairs
        seen = f"after {self.pairs:,} pairs with a mean difference of {delta:+.3f}"
        if self.test.best_rollback >= self.plan.fail_at:
            reason = f"it is worse than the policy in charge: evidence {self.test.best_rollback:.3g} {seen}"
            return Verdict(action="failed", candidate=0, reason=reason)
        if self.test.best_promote >= self.plan.pass_at:
            tolerated = f"it is not worse by more than {self.plan.margin:g}"
            return Verdict(
                action="passed", candidate=0, reason=f"{tolerated}: evidence {self.test.best_promote:.3g} {seen}"
            )
        if self.pairs >= self.plan.pairs:
            return Verdict(action="inconclusive", candidate=0, reason=f"nothing is certain {seen}")
        if not self.affordable:
            return Verdict(action="inconclusive", candidate=0, reason=f"its budget of ${self.plan.budget_usd} is spent")
        return None
