"""What a shadow has shown so far, in figures and in words."""

from __future__ import annotations

from datetime import datetime

import msgspec

from burnish.errors import InvalidValue
from burnish.trial.plan import ShadowPlan
from burnish.trial.records import DeploymentRecord
from burnish.trial.shadow import Shadow


class ShadowReport(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate beside its control, on the same inputs."""

    id: str
    status: str
    agent: str
    task_type: str
    control: str | None
    candidate: str
    started_at: datetime
    ended_at: datetime | None
    pairs: int
    pairs_max: int
    failures: int
    """Pairs in which the candidate's side raised or timed out; each counts as loss 1."""
    spent_usd: float
    budget_usd: float | None
    margin: float
    delta: float | None
    """Mean of candidate's loss minus control's; negative is better. None before the first pair."""
    passing: float
    """Evidence that it is not worse by more than the margin; it passes at `pass_at`."""
    pass_at: float
    failing: float
    """Evidence that it is worse; it fails at `fail_at`."""
    fail_at: float
    reason: str | None
    words: str


def shadow_report(deployment: DeploymentRecord) -> ShadowReport:
    """Return what a shadow has shown so far.

    Raises:
        InvalidValue: The deployment is a canary or a hold-back.
    """
    if deployment.mode != "shadow":
        raise InvalidValue("shadow", deployment.id, f"it is a {deployment.mode}: see `burnish canary list`")
    plan = msgspec.convert(deployment.plan, ShadowPlan)
    state = Shadow(plan, deployment.state)
    delta = (state.candidate_loss - state.control_loss) / state.pairs if state.pairs else None
    return ShadowReport(
        id=deployment.id,
        status=deployment.status,
        agent=deployment.agent,
        task_type=deployment.task_type,
        control=deployment.control,
        candidate=deployment.candidates[0],
        started_at=deployment.created_at,
        ended_at=deployment.ended_at,
        pairs=state.pairs,
        pairs_max=plan.pairs,
        failures=state.failures,
        spent_usd=state.spent_usd,
        budget_usd=plan.budget_usd,
        margin=plan.margin,
        delta=delta,
        passing=state.test.best_promote,
        pass_at=plan.pass_at,
        failing=state.test.best_rollback,
        fail_at=plan.fail_at,
        reason=deployment.reason,
        words=_words(deployment, state, delta),
    )


def _words(deployment: DeploymentRecord, state: Shadow, delta: float | None) -> str:
    if not deployment.open:
        return f"The shadow {deployment.status}: {deployment.reason}."
    if delta is None:
        return "No run was shadowed yet: a host shadows the runs of an agent for which it called loop.shadow_with()."
    direction = "lower" if delta < 0 else "higher"
    test, plan = state.test, state.plan
    return (
        f"Over {state.pairs:,} pairs the candidate's loss is {abs(delta):.3f} {direction}. Evidence that it is not "
        f"worse by more than {plan.margin:g}: {test.best_promote:.3g} of {plan.pass_at:g} needed; that it is worse: "
        f"{test.best_rollback:.3g} of {plan.fail_at:g}."
    )
