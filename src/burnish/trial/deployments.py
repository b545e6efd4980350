"""What people and proposers do with policies: propose, try, approve, put in charge, pause, withdraw, roll back.

Each function is one change of one slot, in a transaction the caller opened. What decides on evidence alone is in
`intake`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from burnish.errors import GateRefused, InvalidValue
from burnish.propose.policy import Policy, checked
from burnish.trial import ledger, lifecycle
from burnish.trial.canary import Canary
from burnish.trial.change import Changed, Session, SlotChange, changing
from burnish.trial.holdback import Holdback
from burnish.trial.plan import CanaryPlan, HoldbackPlan, ShadowPlan, checked_canary, checked_shadow
from burnish.trial.records import DeploymentRecord, PolicyRecord
from burnish.trial.shadow import Shadow


def propose(session: Session, policy: Policy, *, reason: str, actor: str) -> PolicyRecord:
    """Add a policy as a draft, signed; one that is already there is returned as it is.

    Raises:
        InvalidValue: A field is out of range, or its parent is not known.
        SigningKeyMissing: This machine has no key.
    """
    checked(policy)
    if policy.parent is not None:
        parents = ledger.policies_by_digest(session.connection, [policy.parent])
        if policy.parent not in parents:
            raise InvalidValue("parent", policy.parent, "give the digest of a policy that is in the store")
    with changing(session, policy.slot) as change:
        return change.add(policy, reason=reason, actor=actor)


def install(session: Session, record: PolicyRecord, *, reason: str, actor: str) -> list[Changed]:
    """Put the first policy of a slot in charge.

    Raises:
        GateRefused: It is not the first, or the actor is not a person.
    """
    with changing(session, record.slot) as change:
        change.move(record, "active", reason=reason, actor=actor, evidence={"first_of_slot": True})
        change.active = record.digest
    return change.changed


def start_shadow(
    session: Session, record: PolicyRecord, plan: ShadowPlan, *, reason: str, actor: str
) -> tuple[DeploymentRecord, list[Changed]]:
    """Run a candidate beside the policy in charge, on no traffic of its own.

    Raises:
        GateRefused: It was not replayed, or its shadow runs already.
        InvalidValue: The plan cannot be run.
    """
    checked_shadow(plan)
    with changing(session, record.slot) as change:
        current = change.policy(record.digest)
        shadow = change.case(current, actor).shadow
        if shadow is not None and shadow.open:
            raise GateRefused(record.digest, "shadow", f"its shadow {shadow.id} runs already")
        if current.status != "shadow":
            replay = change.case(current, actor).replay
            change.move(current, "shadow", reason=reason, actor=actor, evidence={"replay": replay and replay.id})
        deployment = _deployment(change, "shadow", [record.digest], plan, Shadow(plan).plain())
        change.begin(deployment, actor)
    return deployment, change.changed


def start_canary(
    session: Session, records: Sequence[PolicyRecord], plan: CanaryPlan, *, reason: str, actor: str
) -> tuple[DeploymentRecord, list[Changed]]:
    """Give candidates of one slot a share of its traffic beside the policy in charge.

    A hold-back that still runs ends with it.

    Raises:
        GateRefused: A candidate has not passed its shadow, or another canary runs in the slot.
        InvalidValue: The plan cannot be run, or the candidates are of different slots.
    """
    checked_canary(plan)
    digests = list(dict.fromkeys(record.digest for record in records))
    if not digests or len({record.slot for record in records}) != 1:
        raise InvalidValue("candidates", digests, "give at least one policy, all of the same agent and task type")
    with changing(session, records[0].slot) as change:
        _make_room(change, digests[0], actor)
        for digest in digests:
            _to_canary(change, change.policy(digest), reason, actor)
        canary = Canary(plan, len(digests))
        state = {**canary.plain(), "schedule": [[0, canary.shares]]}
        deployment = _deployment(change, "canary", digests, plan, state)
        change.begin(deployment, actor)
    return deployment, change.changed


def activate(change: SlotChange, deployment: DeploymentRecord, winner: int, *, reason: str, actor: str) -> None:
    """Put the winner of a canary in charge: its predecessor is archived, the others are withdrawn, a hold-back begins.

    Raises:
        GateRefused: The evidence or an approval is missing.
        SigningKeyMissing: This machine has no key.
    """
    plan = msgspec.convert(deployment.plan, CanaryPlan)
    digest = deployment.candidates[winner]
    change.move(
        change.policy(digest), "active", reason=reason, actor=actor, evidence=evidence_of(change, deployment, winner)
    )
    if change.active is not None:
        change.move(
            change.policy(change.active), "archived", reason=f"replaced by {digest[:19]}: {reason}", actor=actor
        )
    for other in deployment.candidates:
        record = change.policy(other)
        if record.status == "canary":
            change.move(record, "archived", reason=f"{digest[:19]} won the canary", actor=actor)
    change.end(deployment, "promoted", reason=reason, actor=actor)
    change.active = digest
    if plan.holdback > 0:
        held = HoldbackPlan(
            share=plan.holdback,
            units=plan.holdback_units,
            deadline_s=plan.deadline_s,
            unit=plan.unit,
            epoch_s=plan.epoch_s,
        )
        holdback = Holdback(held)
        state = {**holdback.plain(), "schedule": [[0, holdback.shares]]}
        change.begin(_deployment(change, "holdback", [digest], held, state, control=deployment.control), actor)


def promote(session: Session, record: PolicyRecord, *, reason: str, actor: str) -> list[Changed]:
    """Put a candidate in charge whose canary was won.

    Raises:
        GateRefused: It was not, or an approval is missing.
    """
    with changing(session, record.slot) as change:
        current = change.policy(record.digest)
        why = lifecycle.refusal(change.case(current, actor), "active")
        if why is not None or change.deployment is None:
            raise GateRefused(record.digest, "active", why or "no canary of it runs")
        deployment = ledger.take_deployment(session.connection, change.deployment)
        activate(change, deployment, deployment.candidates.index(record.digest), reason=reason, actor=actor)
    return change.changed


def approve(session: Session, record: PolicyRecord, *, approver: str, note: str | None) -> None:
    """Note that a person approves of a policy.

    Raises:
        GateRefused: The approver is its author, or not a person.
    """
    if not approver.startswith(lifecycle.PERSON):
        raise GateRefused(record.digest, "approved", "only a person may approve; write person:NAME")
    if approver == record.author:
        raise GateRefused(record.digest, "approved", "its author may not approve it; ask somebody else")
    with changing(session, record.slot) as change:
        ledger.add_approval(
            session.connection,
            session.kind,
            policy=record,
            approver=approver,
            note=note,
            ids=session.ids,
            now=session.now,
        )
        change.audit("policy.approved", record.digest, approver, {"note": note})


def pause(session: Session, deployment: DeploymentRecord, *, reason: str, actor: str) -> DeploymentRecord:
    """Stop assigning runs; what was assigned is still counted, and may still roll the candidate back."""
    return _switch(session, deployment, "paused", ("running", "awaiting_approval"), reason, actor)


def resume(session: Session, deployment: DeploymentRecord, *, reason: str, actor: str) -> DeploymentRecord:
    """Assign runs again after a pause."""
    return _switch(session, deployment, "running", ("paused",), reason, actor)


def abort(session: Session, deployment: DeploymentRecord, *, reason: str, actor: str) -> DeploymentRecord:
    """End a deployment without a finding. Its candidates keep their status and may be tried again.

    Raises:
        GateRefused: It has ended already.
    """
    with changing(session, deployment.slot) as change:
        taken = ledger.take_deployment(session.connection, deployment.id)
        if not taken.open:
            raise GateRefused(taken.candidates[0], "aborted", f"its {taken.mode} has ended already as {taken.status}")
        return change.end(taken, "aborted", reason=reason, actor=actor)


def rollback(session: Session, record: PolicyRecord, *, reason: str, actor: str) -> list[Changed]:
    """Take a policy out of use, whatever its status; the one before it is in charge again if it was active.

    Works without a signing key, while paused and while waiting for an approval. For an archived policy nothing is done.
    """
    with changing(session, record.slot) as change:
        withdraw(change, change.policy(record.digest), reason=reason, actor=actor)
    return change.changed


def withdraw(
    change: SlotChange,
    record: PolicyRecord,
    *,
    reason: str,
    actor: str,
    evidence: Mapping[str, object] | None = None,
) -> None:
    """Archive a policy within a change; deployments that lose their last candidate end, a predecessor comes back."""
    if record.status == "archived":
        return
    was_active = record.status == "active"
    for deployment in ledger.deployments_of(change.session.connection, record):
        if deployment.open:
            _leave(change, ledger.take_deployment(change.session.connection, deployment.id), record, reason, actor)
    change.move(record, "archived", reason=reason, actor=actor, evidence=evidence)
    if was_active:
        _end_running(change, reason, actor)
        change.active = _restore(change, record, reason, actor)


def evidence_of(change: SlotChange, deployment: DeploymentRecord, k: int) -> dict[str, object]:
    """Return what a canary showed of one candidate, in figures: what is signed with its promotion or rollback."""
    plan = msgspec.convert(deployment.plan, CanaryPlan)
    canary = Canary(plan, len(deployment.candidates), deployment.state)
    test, case = canary.comparisons[k], change.case(change.policy(deployment.candidates[k]), "")
    return {
        "canary": deployment.id,
        "control": deployment.control,
        "units": test.units,
        "candidate_units": test.candidate_units,
        "promote_evidence": test.best_promote,
        "promote_at": canary.promote_at,
        "rollback_evidence": test.best_rollback,
        "rollback_at": canary.rollback_at,
        "candidate_loss": test.candidate_mean,
        "control_loss": test.control_mean,
        "sample_ratio_evidence": canary.ratio.best,
        "shadow": case.shadow.id if case.shadow is not None else None,
        "replay": case.replay.id if case.replay is not None else None,
    }


def _deployment(
    change: SlotChange,
    mode: str,
    candidates: list[str],
    plan: msgspec.Struct,
    state: Mapping[str, object],
    control: str | None = None,
) -> DeploymentRecord:
    session, slot = change.session, change.slot
    return DeploymentRecord(
        id=session.ids(),
        created_at=session.now,
        tenant=slot.tenant,
        agent=slot.agent,
        task_type=slot.task_type,
        mode=mode,
        status="running",
        control=control if mode == "holdback" else ledger.in_charge(session.connection, slot),
        candidates=candidates,
        plan=msgspec.to_builtins(plan),
        state=state,
        assigned=0,
        processed=0,
        revision=0,
        reason=None,
        updated_at=session.now,
        ended_at=None,
    )


def _make_room(change: SlotChange, digest: str, actor: str) -> None:
    """End a hold-back that is in the way of a canary; refuse when another canary is."""
    if change.deployment is None:
        return
    running = ledger.take_deployment(change.session.connection, change.deployment)
    if running.mode != "holdback":
        raise GateRefused(digest, "canary", f"canary {running.id} runs in its slot: one at a time; abort or await it")
    change.end(running, "finished", reason="a new canary begins", actor=actor)


def _to_canary(change: SlotChange, record: PolicyRecord, reason: str, actor: str) -> None:
    """Give a policy the status, or leave it there after a canary that ended without a finding."""
    if record.status != "canary":
        shadow = change.case(record, actor).shadow
        change.move(record, "canary", reason=reason, actor=actor, evidence={"shadow": shadow and shadow.id})
        return
    why = lifecycle.shadowed(change.case(record, actor))
    if why is not None:
        raise GateRefused(record.digest, "canary", why)


def _leave(change: SlotChange, deployment: DeploymentRecord, record: PolicyRecord, reason: str, actor: str) -> None:
    """Take one candidate out of an open deployment; end that when it was the last."""
    if deployment.mode != "canary":
        change.end(deployment, "failed" if deployment.mode == "shadow" else "rolled_back", reason=reason, actor=actor)
        return
    plan = msgspec.convert(deployment.plan, CanaryPlan)
    canary = Canary(plan, len(deployment.candidates), deployment.state)
    canary.out = sorted({*canary.out, deployment.candidates.index(record.digest)})
    if canary.won in canary.out:
        canary.won = None
    state = {**canary.plain(), "schedule": [[0, canary.shares]]}
    kept = msgspec.structs.replace(deployment, state=state, updated_at=change.session.now)
    if len(canary.out) == len(deployment.candidates):
        change.end(kept, "rolled_back", reason=reason, actor=actor)
    else:
        ledger.save_deployment(change.session.connection, deployment, kept)


def _end_running(change: SlotChange, reason: str, actor: str) -> None:
    """End whatever still runs against a control that is no longer in charge."""
    if change.deployment is not None:
        running = ledger.take_deployment(change.session.connection, change.deployment)
        change.end(running, "aborted", reason=f"its control was rolled back: {reason}", actor=actor)


def _restore(change: SlotChange, record: PolicyRecord, reason: str, actor: str) -> str | None:
    """Put back in charge what the policy had replaced; None when there was nothing before it."""
    connection = change.session.connection
    history = ledger.promotions_of(connection, slot=record.slot)
    risen = next(
        (
            p.revision
            for p in history
            if p.policy == record.digest and p.to_status == "active" and p.from_status != "archived"
        ),
        None,
    )
    before = next(
        (p.policy for p in history if p.revision == risen and p.from_status == "active" and p.to_status == "archived"),
        None,
    )
    if before is None:
        return None
    change.move(
        change.policy(before),
        "active",
        reason=f"{record.digest[:19]} was rolled back: {reason}",
        actor=actor,
        restoring=True,
    )
    return before


def _switch(
    session: Session,
    deployment: DeploymentRecord,
    status: str,
    allowed: Sequence[str],
    reason: str,
    actor: str,
) -> DeploymentRecord:
    with changing(session, deployment.slot) as change:
        taken = ledger.take_deployment(session.connection, deployment.id)
        if taken.status not in allowed or taken.mode != "canary":
            raise GateRefused(taken.candidates[0], status, f"its {taken.mode} is {taken.status}")
        after = msgspec.structs.replace(taken, status=status, reason=reason, updated_at=session.now)
        saved = ledger.save_deployment(session.connection, taken, after)
        change.audit(f"canary.{status}", taken.id, actor, {"reason": reason})
        return saved
