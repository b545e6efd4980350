"""What a canary has shown so far, in figures and in words that a manager understands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from burnish.stats.effect import effect_interval, welch
from burnish.trial import ledger
from burnish.trial.canary import ArmSums, Canary
from burnish.trial.plan import CanaryPlan
from burnish.trial.records import AssignmentRow, DeploymentRecord


class ArmReport(msgspec.Struct, frozen=True, kw_only=True):
    """One arm as it was seen. Means describe; under a ramp and a drift they prove nothing."""

    name: str
    policy: str | None
    units: int
    unscored: int
    """Units without a loss by their deadline; each counts as loss 1."""
    loss: float | None
    cost_usd: float | None
    duration_s: float | None
    error_rate: float | None
    veto_rate: float | None


class CandidateReport(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate beside the control."""

    arm: ArmReport
    delta: float
    """Candidate's loss minus the control's; negative is better. Unbiased under ramps and drift."""
    low: float
    high: float
    """Bounds of delta that hold with 95 % at every look."""
    better: float
    """Evidence that it is better; its promotion needs `better_at`."""
    better_at: float
    worse: float
    """Evidence that it is worse; it is rolled back at `worse_at`."""
    worse_at: float
    guardrails: dict[str, float]
    """Guardrail → evidence that the candidate is worse than tolerated."""
    guardrail_at: float
    p_value: float | None
    """Of Welch's test, as a description only: looked at more than once it is wrong."""
    rolled_back: bool
    recommendation: str
    """promote, rollback or continue."""


class CanaryReport(msgspec.Struct, frozen=True, kw_only=True):
    """A canary, or the hold-back after one."""

    id: str
    mode: str
    status: str
    agent: str
    task_type: str
    started_at: datetime
    ended_at: datetime | None
    units: int
    waiting: int
    """Assigned runs that have no result yet, or wait for one that was assigned before them."""
    n_max: int
    shares: Sequence[float]
    """Of each candidate, now."""
    control: ArmReport
    candidates: Sequence[CandidateReport]
    sample_ratio: float
    """Evidence that runs of one arm are lost; at 1,000 nothing is promoted any more."""
    evidence: Sequence[tuple[int, float, float]]
    """The curve of the first candidate: (unit, evidence that it is better, evidence that it is worse)."""
    recommendation: str
    words: str
    reason: str | None


def report(connection: Connection, deployment: DeploymentRecord) -> CanaryReport:
    """Return what a canary has shown so far; the interval is computed anew from its assignments."""
    plan = msgspec.convert(deployment.plan, CanaryPlan)
    canary = Canary(plan, len(deployment.candidates), deployment.state)
    rows = ledger.used(connection, deployment.id)
    candidates = [_candidate(deployment, canary, rows, k) for k in range(len(deployment.candidates))]
    advice = _advice(deployment, candidates)
    return CanaryReport(
        id=deployment.id,
        mode=deployment.mode,
        status=deployment.status,
        agent=deployment.agent,
        task_type=deployment.task_type,
        started_at=deployment.created_at,
        ended_at=deployment.ended_at,
        units=canary.units,
        waiting=deployment.assigned - deployment.processed,
        n_max=plan.n_max,
        shares=canary.shares,
        control=_arm("control", deployment.control, canary.arms[0]),
        candidates=candidates,
        sample_ratio=canary.ratio.best,
        evidence=_curve(plan, canary, rows),
        recommendation=advice,
        words=_words(deployment, canary, candidates, advice),
        reason=deployment.reason,
    )


def _arm(name: str, policy: str | None, sums: ArmSums) -> ArmReport:
    def mean(total: float, count: int) -> float | None:
        return total / count if count else None

    return ArmReport(
        name=name,
        policy=policy,
        units=sums.units,
        unscored=sums.unscored,
        loss=mean(sums.loss, sums.units),
        cost_usd=mean(sums.cost, sums.costs),
        duration_s=mean(sums.duration, sums.durations),
        error_rate=mean(sums.errors, sums.units),
        veto_rate=mean(sums.vetoes, sums.units),
    )


def _candidate(deployment: DeploymentRecord, canary: Canary, rows: Sequence[AssignmentRow], k: int) -> CandidateReport:
    mine = [row for row in rows if row.arm in {0, k + 1} and row.probabilities[k + 1] > 0 and row.probabilities[0] > 0]
    losses = [1.0 if row.loss is None else row.loss for row in mine]
    arms = [row.arm == k + 1 for row in mine]
    effect = effect_interval(
        losses,
        arms,
        [row.probabilities[k + 1] for row in mine],
        [row.probabilities[0] for row in mine],
        [row.task_type for row in mine],
    )
    ours = [loss for loss, arm in zip(losses, arms, strict=True) if arm]
    theirs = [loss for loss, arm in zip(losses, arms, strict=True) if not arm]
    test = canary.comparisons[k]
    p_value = welch(ours, theirs).p if len(ours) > 1 and len(theirs) > 1 else None
    guards = {name: guard.best_rollback for name, guard in canary.guards.tests[k].items()}
    worst = max(guards.values(), default=0.0)
    rolled_back = k in canary.out or deployment.status == "rolled_back"
    worse = rolled_back or test.best_rollback >= canary.rollback_at or worst >= canary.plan.guardrails.alarm
    advice = "rollback" if worse else "promote" if canary.won == k and canary.frozen is None else "continue"
    return CandidateReport(
        arm=_arm(f"candidate {k + 1}", deployment.candidates[k], canary.arms[k + 1]),
        delta=effect.estimate,
        low=effect.low,
        high=effect.high,
        better=test.best_promote,
        better_at=canary.promote_at,
        worse=test.best_rollback,
        worse_at=canary.rollback_at,
        guardrails=guards,
        guardrail_at=canary.plan.guardrails.alarm,
        p_value=None if p_value is None or math.isnan(p_value) else p_value,
        rolled_back=rolled_back,
        recommendation=advice,
    )


def _curve(
    plan: CanaryPlan, canary: Canary, rows: Sequence[AssignmentRow], points: int = 120
) -> list[tuple[int, float, float]]:
    """Return the evidence of the first candidate over the units, from the same updates on the same rows."""
    if plan.unit != "run" or not rows:
        return []
    again = Canary(plan, canary.candidates)
    every = max(1, len(rows) // points)
    found: list[tuple[int, float, float]] = []
    for number, row in enumerate(rows, start=1):
        control, mine = row.probabilities[0], row.probabilities[1]
        if mine > 0 and control > 0:
            again.comparisons[0].update(
                1.0 if row.loss is None else row.loss,
                candidate={0: False, 1: True}.get(row.arm),
                p_candidate=mine,
                p_control=control,
                category=row.task_type,
            )
        if number % every == 0 or number == len(rows):
            found.append((number, again.comparisons[0].promote, again.comparisons[0].rollback))
    return found


def _advice(deployment: DeploymentRecord, candidates: Sequence[CandidateReport]) -> str:
    if any(found.recommendation == "promote" for found in candidates):
        return "promote"
    if all(found.recommendation == "rollback" for found in candidates):
        return "rollback"
    return "continue" if deployment.open else "hold"


def _words(deployment: DeploymentRecord, canary: Canary, candidates: Sequence[CandidateReport], advice: str) -> str:
    said = [_said(found) for found in candidates]
    if canary.frozen is not None:
        said.append(f"Nothing is promoted any more: {canary.frozen}.")
    if deployment.status == "awaiting_approval":
        said.append(f"It waits: {deployment.reason}. A rollback stays possible meanwhile.")
    if canary.told:
        said.append("This is a dry run; it would have: " + "; ".join(sorted(canary.told.values())) + ".")
    ended = {"promoted": "It was promoted", "rolled_back": "It was rolled back", "inconclusive": "It ended undecided"}
    if deployment.status in ended:
        said.append(f"{ended[deployment.status]}: {deployment.reason}.")
    else:
        said.append(f"Recommendation: {advice}.")
    return " ".join(said)


def _said(found: CandidateReport) -> str:
    arm = found.arm
    if not arm.units:
        return f"{arm.name.capitalize()} has served no run yet."
    direction = "lower" if found.delta < 0 else "higher"
    decided = found.better >= found.better_at or found.worse >= found.worse_at or found.high < 0 or found.low > 0
    certainty = "which the evidence bears out" if decided else "which may still be chance"
    return (
        f"{arm.name.capitalize()} served {arm.units:,} runs; its loss is {abs(found.delta):.3f} {direction} than the "
        f"control's, {certainty} (at every look between {found.low:+.3f} and {found.high:+.3f}). Evidence that it is "
        f"better: {found.better:.3g} of {found.better_at:g} needed; that it is worse: {found.worse:.3g} of "
        f"{found.worse_at:g}."
    )
