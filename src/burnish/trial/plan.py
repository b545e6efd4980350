"""What a trial may do: its traffic, its thresholds, its limits. Fixed when it starts, stored with it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from burnish.errors import InvalidValue

UNITS = ("run", "conversation", "project", "user")
"""What is assigned as one: `run`, or a key that keeps its arm for an epoch and is analysed as one mean an epoch."""

LARGEST_SHARE = 0.95


class Step(msgspec.Struct, frozen=True, array_like=True):
    """One step of a ramp: a share of traffic, and the units after which the next step begins."""

    share: float
    units: int


RAMP = (Step(0.01, 250), Step(0.05, 250), Step(0.10, 500), Step(0.25, 1_000), Step(0.50, 3_000))
"""Small first, where a harmful candidate costs few runs; half of the traffic last, where a good one is seen fastest."""


class Guardrails(msgspec.Struct, frozen=True, kw_only=True):
    """How much worse a candidate may be beside its loss; each is tested as an e-process of its own."""

    cost: float | None = 0.25
    """Rise of the mean cost of a run that is tolerated, as a share of it; None turns the guardrail off."""
    latency: float | None = 0.05
    """Share of runs beyond the p95 duration of the control that is tolerated above its 5 %."""
    errors: float | None = 0.0
    """Rise of the error rate that is tolerated."""
    vetoes: float | None = 0.0
    """Rise of the share of vetoed runs (security, migrations) that is tolerated."""
    alarm: float = 40.0
    """Evidence at which a guardrail rolls back: with four of them a candidate as good as its control trips one in
    at most 10 % of trials."""


class CanaryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a canary is run."""

    ramp: Sequence[Step] = RAMP
    """Steps in order; the last one lasts until `n_max`. With several candidates each gets its step's share, scaled so
    that the control keeps at least as much as any of them."""
    n_max: int = 5_000
    """Units after which it ends as inconclusive, which promotes nothing."""
    promote_at: float = 20.0
    """Evidence that the candidate is better; times the number of candidates."""
    rollback_at: float = 10.0
    """Evidence that it is worse."""
    deadline_s: float = 3_600.0
    """Seconds after its assignment from which a run without a loss counts as loss 1."""
    unit: str = "run"
    epoch_s: float = 86_400.0
    """Seconds for which a key that is not a run keeps its arm."""
    guardrails: Guardrails = Guardrails()
    auto_promote: bool = False
    """Promote by itself once the evidence is there (a high-stakes policy waits for a person all the same)."""
    dry_run: bool = False
    """Assign, count and report, but neither promote nor roll back."""
    holdback: float = 0.05
    """Share of traffic that stays on the old policy after promotion, so that late harm is noticed; 0 for none."""
    holdback_units: int = 5_000
    """Units for which it stays."""


class ShadowPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a candidate is run beside its control, on the same inputs and no traffic of its own."""

    sample: float = 1.0
    """Share of runs that are shadowed."""
    pairs: int = 1_000
    """Pairs after which it ends as inconclusive."""
    budget_usd: float | None = None
    """What the candidate's side may cost in all."""
    margin: float = 0.02
    """Loss by which the candidate may be worse and still pass: the canary tests for improvement, shadow for safety."""
    pass_at: float = 20.0
    fail_at: float = 10.0


def checked_canary(plan: CanaryPlan) -> CanaryPlan:
    """Return the plan when it can be run.

    Raises:
        InvalidValue: A field is out of range; names it and the remedy.
    """
    if not plan.ramp:
        raise InvalidValue("ramp", plan.ramp, "give at least one step of (share, units)")
    shares = [step.share for step in plan.ramp]
    if not all(0.0 < share <= 0.5 for share in shares) or shares != sorted(shares):
        raise InvalidValue("ramp", shares, "give shares above 0 and at most .5 that never fall")
    if any(step.units < 1 for step in plan.ramp):
        raise InvalidValue("ramp", [step.units for step in plan.ramp], "let each step last at least one unit")
    if plan.unit not in UNITS:
        raise InvalidValue("unit", plan.unit, f"give one of {', '.join(UNITS)}")
    _above("n_max", plan.n_max, 0)
    _above("promote_at", plan.promote_at, 1)
    _above("rollback_at", plan.rollback_at, 1)
    _above("guardrails.alarm", plan.guardrails.alarm, 1)
    _above("deadline_s", plan.deadline_s, 0)
    _above("epoch_s", plan.epoch_s, 0)
    if not 0.0 <= plan.holdback <= 0.5:
        raise InvalidValue("holdback", plan.holdback, "give a share from 0 to .5")
    return plan


def checked_shadow(plan: ShadowPlan) -> ShadowPlan:
    """Return the plan when it can be run.

    Raises:
        InvalidValue: A field is out of range; names it and the remedy.
    """
    if not 0.0 < plan.sample <= 1.0:
        raise InvalidValue("sample", plan.sample, "give a share above 0 and at most 1")
    if not 0.0 <= plan.margin < 1.0:
        raise InvalidValue("margin", plan.margin, "give a loss from 0 to below 1")
    _above("pairs", plan.pairs, 0)
    _above("pass_at", plan.pass_at, 1)
    _above("fail_at", plan.fail_at, 1)
    if plan.budget_usd is not None:
        _above("budget_usd", plan.budget_usd, 0)
    return plan


def _above(field: str, value: float, limit: float) -> None:
    if not limit < value < float("inf"):
        raise InvalidValue(field, value, f"give a finite number above {limit}")


class HoldbackPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How long the old policy keeps a share of the traffic after a promotion."""

    share: float
    units: int
    deadline_s: float
    unit: str = "run"
    epoch_s: float = 86_400.0
    alarm: float = 75_000.0
    """Mean number of units to a false alarm."""
