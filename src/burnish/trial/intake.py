"""What arrives of trials, and what it decides: runs are entered, their losses noted, and read in order of assignment.

It runs inside the transaction that writes the runs, so evidence and what follows from it are one with them. The monitor
calls the same function without anything new, for the deadlines that have passed: level-triggered, so that a tick that
is lost or comes twice changes nothing.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from burnish.capture.records import AssignmentRecord, RunRecord
from burnish.errors import GateRefused, SigningKeyMissing
from burnish.score.scoring import Scored
from burnish.stats.assignment import SEPARATOR
from burnish.store.columns import EPOCH, to_micros
from burnish.trial import deployments, ledger
from burnish.trial.canary import Canary
from burnish.trial.change import Changed, Session, SlotChange, changing
from burnish.trial.holdback import Holdback
from burnish.trial.plan import CanaryPlan, HoldbackPlan
from burnish.trial.records import AssignmentRow, DeploymentRecord, Slot
from burnish.trial.unit import Unit, Verdict

log = logging.getLogger("burnish")
ACTOR = "system:monitor"
AT_ONCE = 2_000
"""Most runs of a deployment that are read in one go."""

EPOCH_AT_ONCE = 100_000
"""The same where keys are analysed by epoch, of which a whole one is needed."""

MetricOf = Callable[[str, str, str], str]
"""(tenant, agent, task type) → fingerprint of the weights its losses are made with."""


def intake(
    session: Session, arrived: Sequence[AssignmentRecord], scored: Sequence[Scored], metric_of: MetricOf
) -> list[Changed]:
    """Take in one batch.

    Args:
        session: The transaction that wrote the runs.
        arrived: New assignments.
        scored: Runs with a new loss.
        metric_of: Tells losses of different weights apart.

    Returns:
        The policies that took another status because of it.
    """
    tenants = sorted({*(record.tenant for record in arrived), *(item.run.tenant for item in scored)})
    open_now = {d.id: d for d in ledger.open_deployments(session.connection, tenants) if d.mode != "shadow"}
    if not open_now:
        return []
    results = _results(session, arrived, scored, set(open_now), metric_of)
    touched = {record.deployment for record in arrived if record.deployment in open_now} | set(results)
    changed: list[Changed] = []
    order = sorted(touched, key=lambda found: (open_now[found].slot, found))
    for slot in dict.fromkeys(open_now[found].slot for found in order):
        # All of them before anything is audited: whoever holds the log's lock must not wait for a slot.
        ledger.take_slot(session.connection, session.kind, slot, ids=session.ids, now=session.now)
    for deployment_id in order:
        entering = [record for record in arrived if record.deployment == deployment_id]
        changed.extend(_advance(session, open_now[deployment_id], entering, results.get(deployment_id, [])))
    return changed


def monitor(session: Session, slot: Slot) -> list[Changed]:
    """Read what is due in a slot without anything new: runs past their deadline, approvals that were given."""
    found = ledger.find_slot(session.connection, slot)
    if found is None or found.deployment is None:
        return []
    by_id = {deployment.id: deployment for deployment in ledger.open_deployments(session.connection, [slot[0]])}
    deployment = by_id.get(found.deployment)
    return [] if deployment is None else _advance(session, deployment, [], [])


def _results(
    session: Session,
    arrived: Sequence[AssignmentRecord],
    scored: Sequence[Scored],
    open_now: set[str],
    metric_of: MetricOf,
) -> dict[str, list[dict[str, object]]]:
    """Return, by deployment, the results of runs that take part in one and were not read yet."""
    known = ledger.assigned_runs(session.connection, [item.run.id for item in scored])
    entering = {(record.deployment, record.run_id): False for record in arrived}
    waiting: dict[str, list[str]] = defaultdict(list)
    for (deployment_id, run_id), done in {**entering, **known}.items():
        if not done and deployment_id in open_now:
            waiting[run_id].append(deployment_id)
    found: dict[str, list[dict[str, object]]] = defaultdict(list)
    for item in scored:
        vetoed = item.loss is not None and item.loss.vetoed
        for deployment_id in waiting.pop(item.run.id, ()):
            metric = metric_of(item.run.tenant, item.run.agent, item.run.task_type)
            found[deployment_id].append(_result(deployment_id, item.settled, metric, session.now, vetoed=vetoed))
    # An assignment that came by way of the spool may arrive after its run.
    for run in ledger.results_of(session.connection, sorted(waiting)):
        for deployment_id in waiting[run.id]:
            metric = metric_of(run.tenant, run.agent, run.task_type)
            found[deployment_id].append(_result(deployment_id, run, metric, session.now, vetoed=False))
    return found


def _result(deployment_id: str, run: RunRecord, metric: str, now: datetime, *, vetoed: bool) -> dict[str, object]:
    facts = {
        "cost": run.cost_usd,
        "duration": run.duration_s,
        "error": float(run.error_type is not None),
        "vetoed": float(vetoed),
        "metric": metric,
    }
    return {
        "of_deployment": deployment_id,
        "of_run": run.id,
        "new_loss": run.loss,
        "new_facts": facts,
        "new_scored_at": None if run.loss is None else now,
    }


def _advance(
    session: Session,
    seen: DeploymentRecord,
    arrived: Sequence[AssignmentRecord],
    results: Sequence[dict[str, object]],
) -> list[Changed]:
    """Enter, note and read for one deployment; its slot is taken first, as everywhere."""
    with changing(session, seen.slot) as change:
        deployment = ledger.take_deployment(session.connection, seen.id)
        deployment = _enter(session, deployment, [record for record in arrived if _sound(record, deployment)])
        ledger.set_results(session.connection, results)
        if deployment.open and change.deployment == deployment.id:
            _read(change, deployment)
    return change.changed


def _sound(record: AssignmentRecord, deployment: DeploymentRecord) -> bool:
    """Tell whether an assignment is one that this deployment can have made; what is not would stop the count."""
    chances = record.probabilities
    arms = len(deployment.candidates) + 1
    good = len(chances) == arms and all(0.0 <= p < 1.0 for p in chances) and sum(chances) <= 1.0 + 1e-9
    if good and 0 <= record.arm < arms and chances[record.arm] > 0.0 and chances[0] > 0.0:
        return True
    log.warning("run %s was not entered into %s: arm %s of %s", record.run_id, deployment.id, record.arm, chances)
    return False


def _enter(session: Session, deployment: DeploymentRecord, arrived: Sequence[AssignmentRecord]) -> DeploymentRecord:
    """Give new assignments their place in the order: that of their arrival, which no outcome can influence."""
    known = ledger.assigned_runs(session.connection, [record.run_id for record in arrived])
    fresh = [record for record in arrived if (deployment.id, record.run_id) not in known]
    fresh = list({record.run_id: record for record in fresh}.values())
    if not fresh:
        return deployment
    rows = [
        AssignmentRow(
            id=record.id,
            created_at=record.created_at,
            tenant=record.tenant,
            deployment=deployment.id,
            seq=deployment.assigned + position,
            run_id=record.run_id,
            unit=record.unit,
            task_type=record.task_type,
            arm=record.arm,
            probabilities=record.probabilities,
            loss=None,
            candidate_loss=None,
            facts={},
            scored_at=None,
            used=False,
        )
        for position, record in enumerate(fresh, start=1)
    ]
    ledger.add_assignments(session.connection, session.kind, rows)
    after = msgspec.structs.replace(deployment, assigned=deployment.assigned + len(rows), updated_at=session.now)
    return ledger.save_deployment(session.connection, deployment, after)


def _read(change: SlotChange, deployment: DeploymentRecord) -> None:
    """Read every unit that is due, in order, and act on the first verdict that ends the deployment."""
    plan: CanaryPlan | HoldbackPlan
    process: Canary | Holdback
    if deployment.mode == "canary":
        plan = msgspec.convert(deployment.plan, CanaryPlan)
        process = Canary(plan, len(deployment.candidates), deployment.state)
    else:
        plan = msgspec.convert(deployment.plan, HoldbackPlan)
        process = Holdback(plan, deployment.state)
    connection, now = change.session.connection, change.session.now
    while True:
        most = AT_ONCE if plan.unit == "run" else EPOCH_AT_ONCE
        rows = ledger.unused(connection, deployment.id, most)
        due = _due(rows, plan, now, full=len(rows) == most)
        verdicts: list[Verdict] = []
        last = 0
        for unit in due:
            last = unit.seq
            verdicts = [verdict for verdict in process.read(unit) if not _only_told(process, plan, verdict)]
            if verdicts:
                break
        if last:
            ledger.mark_used(connection, deployment.id, last)
            deployment = _save(change, deployment, process, plan, last)
        for verdict in verdicts:
            deployment = _act(change, deployment, process, verdict)
        if not deployment.open or not last or (len(rows) < most and not verdicts):
            break
    if deployment.open and isinstance(process, Canary) and isinstance(plan, CanaryPlan):
        _promote_if_due(change, deployment, process, plan)


def _due(rows: Sequence[AssignmentRow], plan: CanaryPlan | HoldbackPlan, now: datetime, *, full: bool) -> list[Unit]:
    """Return the units at the head of the order that have their result, or are past their deadline."""
    deadline = now - timedelta(seconds=plan.deadline_s)
    if plan.unit != "run":
        return _epochs(rows, plan, now, full=full)
    found: list[Unit] = []
    for row in rows:
        if row.loss is None and row.created_at > deadline:
            break
        found.append(_unit([row], row.seq))
    return found


def _epochs(rows: Sequence[AssignmentRow], plan: CanaryPlan | HoldbackPlan, now: datetime, *, full: bool) -> list[Unit]:
    """Return the units of whole epochs: one mean a key and epoch, in the order the keys were first seen."""
    epochs: dict[int, list[AssignmentRow]] = defaultdict(list)
    for row in rows:
        epochs[_epoch(row)].append(row)
    found: list[Unit] = []
    for number in sorted(epochs):
        ends = EPOCH + timedelta(seconds=(number + 1) * plan.epoch_s)
        late = now > ends + timedelta(seconds=plan.deadline_s)
        whole = not (full and number == max(epochs) and len(epochs) > 1)
        if now < ends or not whole or not (late or all(row.loss is not None for row in epochs[number])):
            break
        keys: dict[str, list[AssignmentRow]] = defaultdict(list)
        for row in epochs[number]:
            keys[row.unit].append(row)
        last = epochs[number][-1].seq
        units = [_unit(group, last) for group in keys.values()]
        found.extend(units)
    return found


def _epoch(row: AssignmentRow) -> int:
    return int(row.unit.rpartition(SEPARATOR)[2])


def _unit(rows: Sequence[AssignmentRow], seq: int) -> Unit:
    first = rows[0]

    def mean(name: str) -> float | None:
        values = [float(str(row.facts[name])) for row in rows if row.facts.get(name) is not None]
        return sum(values) / len(values) if values else None

    return Unit(
        seq=seq,
        arm=first.arm,
        probabilities=first.probabilities,
        loss=sum(1.0 if row.loss is None else row.loss for row in rows) / len(rows),
        category=first.task_type,
        scored=all(row.loss is not None for row in rows),
        cost_usd=mean("cost"),
        duration_s=mean("duration"),
        error=mean("error"),
        vetoed=mean("vetoed"),
        metric=next((str(row.facts["metric"]) for row in rows if row.loss is not None), ""),
    )


def _save(
    change: SlotChange,
    deployment: DeploymentRecord,
    process: Canary | Holdback,
    plan: CanaryPlan | HoldbackPlan,
    last: int,
) -> DeploymentRecord:
    now = change.session.now
    state = {**process.plain(), "schedule": _schedule(deployment, process.shares, plan, now)}
    after = msgspec.structs.replace(deployment, state=state, processed=last, updated_at=now)
    return ledger.save_deployment(change.session.connection, deployment, after)


def _schedule(
    deployment: DeploymentRecord, shares: list[float], plan: CanaryPlan | HoldbackPlan, now: datetime
) -> object:
    """Return when which shares apply. A key keeps its arm for an epoch, so its share may only change between two."""
    known = list(deployment.state["schedule"])  # type: ignore[call-overload]  # a list of [microseconds, shares]
    if known[-1][1] == shares:
        return known
    start = to_micros(now)
    if plan.unit != "run":
        epoch = int(plan.epoch_s * 1_000_000)
        start = (start // epoch + 1) * epoch
    return [*known[-1:], [start, shares]]


def _only_told(process: Canary | Holdback, plan: CanaryPlan | HoldbackPlan, verdict: Verdict) -> bool:
    """Keep what a dry run would do as a remark, and go on."""
    if not (isinstance(process, Canary) and isinstance(plan, CanaryPlan) and plan.dry_run):
        return False
    if verdict.action == "inconclusive":
        return False
    process.told.setdefault(f"{verdict.action} {verdict.candidate}", verdict.reason)
    return True


def _act(
    change: SlotChange, deployment: DeploymentRecord, process: Canary | Holdback, verdict: Verdict
) -> DeploymentRecord:
    """Do what a verdict asks for."""
    if verdict.action == "promote" and isinstance(process, Canary):
        _promote_if_due(change, deployment, process, process.plan)
    if verdict.action == "rollback" and verdict.candidate is not None:
        digest = deployment.candidates[verdict.candidate]
        evidence: dict[str, object] = {"deployment": deployment.id, "units": process.units}
        if isinstance(process, Canary):
            process.out = sorted({*process.out, verdict.candidate})
            evidence = deployments.evidence_of(change, deployment, verdict.candidate)
        deployments.withdraw(change, change.policy(digest), reason=verdict.reason, actor=ACTOR, evidence=evidence)
    elif verdict.action in {"inconclusive", "finished"}:
        change.end(deployment, verdict.action, reason=verdict.reason, actor=ACTOR)
    return ledger.take_deployment(change.session.connection, deployment.id)


def _promote_if_due(change: SlotChange, deployment: DeploymentRecord, canary: Canary, plan: CanaryPlan) -> None:
    """Put a winner in charge if the plan says so and nothing is missing; else say what it waits for."""
    if canary.won is None or not plan.auto_promote or plan.dry_run or deployment.status == "paused":
        return
    test = canary.comparisons[canary.won]
    reason = f"evidence {test.best_promote:.3g}, {canary.promote_at:g} was needed, after {test.units:,} runs"
    try:
        deployments.activate(change, deployment, canary.won, reason=reason, actor=ACTOR)
    except (GateRefused, SigningKeyMissing) as error:
        if deployment.status != "awaiting_approval" or deployment.reason != str(error):
            now = change.session.now
            waiting = msgspec.structs.replace(deployment, status="awaiting_approval", reason=str(error), updated_at=now)
            ledger.save_deployment(change.session.connection, deployment, waiting)
            change.audit("canary.awaiting_approval", deployment.id, ACTOR, {"reason": str(error)})
            log.warning("%s", error)
