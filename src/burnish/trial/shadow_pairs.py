"""The SQL side of a shadow: is another pair wanted, and what one pair decides."""

from __future__ import annotations

import msgspec

from burnish.trial import ledger
from burnish.trial.change import Session, changing
from burnish.trial.intake import ACTOR
from burnish.trial.plan import ShadowPlan
from burnish.trial.records import AssignmentRow, DeploymentRecord
from burnish.trial.replay_record import ReplayOutcome
from burnish.trial.shadow import Shadow


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One input through both policies."""

    run_id: str
    task_type: str
    control: float
    """Loss of the run that really happened, in [0, 1]."""
    outcome: ReplayOutcome
    """What the candidate came to; without a loss it counts as 1."""


def wanted(deployment: DeploymentRecord) -> bool:
    """Tell whether a shadow still runs and can afford another pair."""
    plan = msgspec.convert(deployment.plan, ShadowPlan)
    return deployment.status == "running" and Shadow(plan, deployment.state).affordable


def add_pair(session: Session, seen: DeploymentRecord, pair: Pair) -> DeploymentRecord:
    """Count one pair; a run counts once, and nothing counts after the end. Returns the deployment as it is then."""
    with changing(session, seen.slot) as change:
        deployment = ledger.take_deployment(session.connection, seen.id)
        known = ledger.assigned_runs(session.connection, [pair.run_id])
        if deployment.status != "running" or (deployment.id, pair.run_id) in known:
            return deployment
        shadow = Shadow(msgspec.convert(deployment.plan, ShadowPlan), deployment.state)
        loss = 1.0 if pair.outcome.loss is None else pair.outcome.loss
        verdict = shadow.read(
            control=pair.control,
            candidate=loss,
            cost_usd=pair.outcome.cost_usd,
            failed=pair.outcome.error is not None,
        )
        ledger.add_assignments(session.connection, session.kind, [_row(session, deployment, pair, loss)])
        after = msgspec.structs.replace(
            deployment,
            state=shadow.plain(),
            assigned=deployment.assigned + 1,
            processed=deployment.processed + 1,
            updated_at=session.now,
        )
        saved = ledger.save_deployment(session.connection, deployment, after)
        if verdict is None:
            return saved
        return change.end(saved, verdict.action, reason=verdict.reason, actor=ACTOR)


def _row(session: Session, deployment: DeploymentRecord, pair: Pair, loss: float) -> AssignmentRow:
    return AssignmentRow(
        id=session.ids(),
        created_at=session.now,
        tenant=deployment.tenant,
        deployment=deployment.id,
        seq=deployment.assigned + 1,
        run_id=pair.run_id,
        unit=pair.run_id,
        task_type=pair.task_type,
        arm=1,
        probabilities=(1.0, 1.0),
        loss=pair.control,
        candidate_loss=loss,
        facts={"cost": pair.outcome.cost_usd, "duration": pair.outcome.duration_s, "error": pair.outcome.error},
        scored_at=session.now,
        used=True,
    )
