"""The SQL of policies and trials. Whoever changes something here first takes the slot's row, which serialises them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, Select, func, insert, select, update

from burnish.capture.ledger import chunks, runs_by_id, to_record
from burnish.capture.records import RunRecord
from burnish.errors import Ambiguous, NotFound, TransitionConflict
from burnish.ids import IdSource
from burnish.store.rows import inserter
from burnish.store.schema.propose import policies, policy_slots
from burnish.store.schema.trial import (
    deployment_assignments as assignments,
    deployments,
    offline_replays,
    policy_approvals,
    policy_promotions,
)
from burnish.trial.lifecycle import ReplayResult
from burnish.trial.records import (
    AssignmentRow,
    DeploymentRecord,
    PolicyRecord,
    PromotionRecord,
    Slot,
    SlotRecord,
)

OPEN = ("running", "paused", "awaiting_approval")
"""Statuses of a deployment that has not ended."""


def take_slot(connection: Connection, kind: str, slot: Slot, *, ids: IdSource, now: datetime) -> SlotRecord:
    """Return the slot, made if need be and locked until commit."""
    tenant, agent, task_type = slot
    inserter(policy_slots, kind)(connection, [(ids(), now, tenant, agent, task_type, None, None, 0, now)])
    row = connection.execute(_slot(slot).with_for_update()).mappings().one()
    return to_record(row, SlotRecord)


def change_slot(
    connection: Connection, slot: SlotRecord, *, active: str | None, deployment: str | None, now: datetime
) -> SlotRecord:
    """Set what a slot points to, if nobody changed it since it was read; returns it at its next revision.

    Raises:
        TransitionConflict: Somebody did.
    """
    done = connection.execute(
        update(policy_slots)
        .where(policy_slots.c.id == slot.id, policy_slots.c.revision == slot.revision)
        .values(active=active, deployment=deployment, revision=slot.revision + 1, updated_at=now)
    )
    if done.rowcount != 1:
        raise TransitionConflict(f"the slot of agent {slot.agent}", "another process changed it meanwhile")
    return msgspec.structs.replace(
        slot, active=active, deployment=deployment, revision=slot.revision + 1, updated_at=now
    )


def find_slot(connection: Connection, slot: Slot) -> SlotRecord | None:
    """Return a slot, or None when nothing was ever proposed for it."""
    row = connection.execute(_slot(slot)).mappings().one_or_none()
    return None if row is None else to_record(row, SlotRecord)


def in_charge(connection: Connection, slot: SlotRecord) -> str | None:
    """Return the policy that a slot's runs are under: its own, else that of all the agent's task types."""
    if slot.active is not None or not slot.task_type:
        return slot.active
    general = find_slot(connection, (slot.tenant, slot.agent, ""))
    return None if general is None else general.active


def slots(connection: Connection, tenant: str | None = None) -> list[SlotRecord]:
    """Return every slot of a tenant, or of all."""
    query = select(policy_slots)
    if tenant is not None:
        query = query.where(policy_slots.c.tenant == tenant)
    order = policy_slots.c.agent, policy_slots.c.task_type
    return [to_record(row, SlotRecord) for row in connection.execute(query.order_by(*order)).mappings()]


def add_policy(connection: Connection, record: PolicyRecord) -> None:
    """Add a policy."""
    connection.execute(insert(policies).values(**msgspec.structs.asdict(record)))


def next_version(connection: Connection, slot: Slot) -> int:
    """Return the version number of a slot's next policy. The slot must be taken."""
    return int(connection.scalar(_of_slot(select(func.max(policies.c.version)), slot)) or 0) + 1


def set_status(
    connection: Connection, record: PolicyRecord, to_status: str, envelope: str, now: datetime
) -> PolicyRecord:
    """Change a policy's status, if it still is what it was when it was read.

    Raises:
        TransitionConflict: It is not.
    """
    done = connection.execute(
        update(policies)
        .where(policies.c.digest == record.digest, policies.c.status == record.status)
        .values(status=to_status, envelope=envelope, updated_at=now)
    )
    if done.rowcount != 1:
        raise TransitionConflict(f"policy {record.digest[:19]}", f"it is no longer {record.status}")
    return msgspec.structs.replace(record, status=to_status, envelope=envelope, updated_at=now)


def policies_by_digest(connection: Connection, digests: Sequence[str]) -> dict[str, PolicyRecord]:
    """Return the policies that exist, by digest."""
    found: dict[str, PolicyRecord] = {}
    for chunk in chunks(list(digests)):
        rows = connection.execute(select(policies).where(policies.c.digest.in_(chunk))).mappings()
        found.update({row["digest"]: to_record(row, PolicyRecord) for row in rows})
    return found


def find_policy(connection: Connection, reference: str, *, tenant: str, where: str) -> PolicyRecord:
    """Return a policy by its digest or the beginning of one.

    Raises:
        NotFound: There is none.
        Ambiguous: Several start so.
    """
    prefix = reference if reference.startswith("sha256:") else f"sha256:{reference}"
    query = select(policies).where(
        policies.c.digest >= prefix, policies.c.digest <= prefix + "g", policies.c.tenant == tenant
    )
    rows = connection.execute(query.limit(2)).mappings().all() if prefix != "sha256:" else []
    if len(rows) != 1:
        raise (Ambiguous if rows else NotFound)("policy", reference, where)
    return to_record(rows[0], PolicyRecord)


def list_policies(
    connection: Connection, *, tenant: str, agent: str | None = None, status: str | None = None, limit: int = 50
) -> list[PolicyRecord]:
    """Return the newest policies first."""
    query = select(policies).where(policies.c.tenant == tenant)
    if agent is not None:
        query = query.where(policies.c.agent == agent)
    if status is not None:
        query = query.where(policies.c.status == status)
    rows = connection.execute(query.order_by(policies.c.id.desc()).limit(limit)).mappings()
    return [to_record(row, PolicyRecord) for row in rows]


def ever_active(connection: Connection, slot: Slot) -> bool:
    """Tell whether a slot has had an active policy."""
    query = _of_slot(select(policy_promotions.c.id), slot, policy_promotions)
    return connection.execute(query.where(policy_promotions.c.to_status == "active").limit(1)).first() is not None


def add_promotion(connection: Connection, record: PromotionRecord) -> None:
    """Add one change of status to the history."""
    connection.execute(insert(policy_promotions).values(**msgspec.structs.asdict(record)))


def promotions_of(
    connection: Connection, *, policy: str | None = None, slot: Slot | None = None, to_status: str | None = None
) -> list[PromotionRecord]:
    """Return the history of a policy, or of a slot, oldest first."""
    query = select(policy_promotions)
    if policy is not None:
        query = query.where(policy_promotions.c.policy == policy)
    if slot is not None:
        query = _of_slot(query, slot, policy_promotions)
    if to_status is not None:
        query = query.where(policy_promotions.c.to_status == to_status)
    rows = connection.execute(query.order_by(policy_promotions.c.revision, policy_promotions.c.id)).mappings()
    return [to_record(row, PromotionRecord) for row in rows]


def add_approval(
    connection: Connection,
    kind: str,
    *,
    policy: PolicyRecord,
    approver: str,
    note: str | None,
    ids: IdSource,
    now: datetime,
) -> None:
    """Note that a person approves; twice is as good as once."""
    row = (ids(), now, policy.tenant, policy.digest, approver, note)
    inserter(policy_approvals, kind)(connection, [row])


def approvers_of(connection: Connection, digest: str) -> list[str]:
    """Return who approves of a policy, in the order they did."""
    query = select(policy_approvals.c.approver).where(policy_approvals.c.policy == digest)
    return list(connection.scalars(query.order_by(policy_approvals.c.id)))


def latest_replay(connection: Connection, digest: str) -> ReplayResult | None:
    """Return the verdict of a policy's newest offline replay."""
    columns = offline_replays.c.id, offline_replays.c.verdict, offline_replays.c.baseline
    query = select(*columns).where(offline_replays.c.policy == digest).order_by(offline_replays.c.id.desc()).limit(1)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else to_record(row, ReplayResult)


def add_deployment(connection: Connection, record: DeploymentRecord) -> None:
    """Add a deployment."""
    connection.execute(insert(deployments).values(**msgspec.structs.asdict(record)))


def take_deployment(connection: Connection, deployment_id: str) -> DeploymentRecord:
    """Return a deployment, locked until commit."""
    query = select(deployments).where(deployments.c.id == deployment_id).with_for_update()
    return to_record(connection.execute(query).mappings().one(), DeploymentRecord)


def save_deployment(connection: Connection, before: DeploymentRecord, after: DeploymentRecord) -> DeploymentRecord:
    """Write what changed of a deployment that was taken.

    Raises:
        TransitionConflict: It was changed by somebody who did not take it.
    """
    names = ("status", "state", "assigned", "processed", "reason", "updated_at", "ended_at")
    values: dict[str, object] = {name: getattr(after, name) for name in names}
    done = connection.execute(
        update(deployments)
        .where(deployments.c.id == before.id, deployments.c.revision == before.revision)
        .values(**values, revision=before.revision + 1)
    )
    if done.rowcount != 1:
        raise TransitionConflict(f"deployment {before.id}", "another process changed it meanwhile")
    return msgspec.structs.replace(after, revision=before.revision + 1)


def open_deployments(connection: Connection, tenants: Sequence[str] | None = None) -> list[DeploymentRecord]:
    """Return the deployments that have not ended, oldest first."""
    query = select(deployments).where(deployments.c.status.in_(OPEN))
    if tenants is not None:
        query = query.where(deployments.c.tenant.in_(tenants))
    return [to_record(row, DeploymentRecord) for row in connection.execute(query.order_by(deployments.c.id)).mappings()]


def find_deployment(connection: Connection, reference: str, *, tenant: str, where: str) -> DeploymentRecord:
    """Return a deployment by its id, the beginning of one, or the newest of a policy by the policy's digest.

    Raises:
        NotFound: There is none.
        Ambiguous: Several start so.
    """
    query = select(deployments).where(deployments.c.tenant == tenant)
    if reference.startswith("sha256:"):
        of_policy = deployments_of(connection, find_policy(connection, reference, tenant=tenant, where=where))
        if not of_policy:
            raise NotFound("deployment", reference, where)
        return of_policy[-1]
    query = query.where(deployments.c.id >= reference, deployments.c.id <= reference + "g").limit(2)
    rows = connection.execute(query).mappings().all() if reference else []
    if len(rows) != 1:
        raise (Ambiguous if rows else NotFound)("deployment", reference, where)
    return to_record(rows[0], DeploymentRecord)


def list_deployments(
    connection: Connection, *, tenant: str, agent: str | None = None, limit: int = 50
) -> list[DeploymentRecord]:
    """Return the newest deployments first."""
    query = select(deployments).where(deployments.c.tenant == tenant)
    if agent is not None:
        query = query.where(deployments.c.agent == agent)
    rows = connection.execute(query.order_by(deployments.c.id.desc()).limit(limit)).mappings()
    return [to_record(row, DeploymentRecord) for row in rows]


def deployments_of(connection: Connection, policy: PolicyRecord, mode: str | None = None) -> list[DeploymentRecord]:
    """Return the deployments in which a policy is a candidate, oldest first."""
    query = select(deployments).where(
        deployments.c.tenant == policy.tenant,
        deployments.c.agent == policy.agent,
        deployments.c.task_type == policy.task_type,
    )
    if mode is not None:
        query = query.where(deployments.c.mode == mode)
    rows = connection.execute(query.order_by(deployments.c.id)).mappings()
    found = [to_record(row, DeploymentRecord) for row in rows]
    return [deployment for deployment in found if policy.digest in deployment.candidates]


def add_assignments(connection: Connection, kind: str, rows: Sequence[AssignmentRow]) -> None:
    """Add runs to deployments; those already there stay as they are."""
    inserter(assignments, kind)(connection, [msgspec.structs.astuple(row) for row in rows])


def assigned_runs(connection: Connection, run_ids: Sequence[str]) -> dict[tuple[str, str], bool]:
    """Return (deployment, run id) → whether its result was used, for those of the runs that take part in one."""
    found: dict[tuple[str, str], bool] = {}
    columns = assignments.c.deployment, assignments.c.run_id, assignments.c.used
    for chunk in chunks(list(run_ids)):
        for row in connection.execute(select(*columns).where(assignments.c.run_id.in_(chunk))):
            found[row[0], row[1]] = bool(row[2])
    return found


def results_of(connection: Connection, run_ids: Sequence[str]) -> list[RunRecord]:
    """Return those of the runs that are in the ledger with a loss."""
    found = runs_by_id(connection, run_ids)
    return [run for run in found.values() if run.loss is not None]


def set_results(connection: Connection, results: Sequence[Mapping[str, object]]) -> None:
    """Note losses: each a mapping of of_deployment, of_run, new_loss, new_facts and new_scored_at."""
    from sqlalchemy import bindparam

    if results:
        query = update(assignments).where(
            assignments.c.deployment == bindparam("of_deployment"), assignments.c.run_id == bindparam("of_run")
        )
        connection.execute(
            query.values(
                loss=bindparam("new_loss"), facts=bindparam("new_facts"), scored_at=bindparam("new_scored_at")
            ),
            [dict(result) for result in results],
        )


def unused(connection: Connection, deployment_id: str, limit: int) -> list[AssignmentRow]:
    """Return the runs of a deployment whose results were not used yet, in the order they were assigned."""
    query = select(assignments).where(assignments.c.deployment == deployment_id, assignments.c.used.is_(False))
    rows = connection.execute(query.order_by(assignments.c.seq).limit(limit)).mappings()
    return [to_record(row, AssignmentRow) for row in rows]


def used(connection: Connection, deployment_id: str) -> list[AssignmentRow]:
    """Return the runs of a deployment whose results were used, in the order they were assigned."""
    query = select(assignments).where(assignments.c.deployment == deployment_id, assignments.c.used.is_(True))
    rows = connection.execute(query.order_by(assignments.c.seq)).mappings()
    return [to_record(row, AssignmentRow) for row in rows]


def mark_used(connection: Connection, deployment_id: str, last_seq: int) -> None:
    """Note that results were used, up to and including one."""
    connection.execute(
        update(assignments)
        .where(assignments.c.deployment == deployment_id, assignments.c.seq <= last_seq, assignments.c.used.is_(False))
        .values(used=True)
    )


def _slot(slot: Slot) -> Select[tuple[object, ...]]:
    tenant, agent, task_type = slot
    table = policy_slots
    return select(table).where(table.c.tenant == tenant, table.c.agent == agent, table.c.task_type == task_type)


def _of_slot(query: Select[tuple[object, ...]], slot: Slot, table: object = policies) -> Select[tuple[object, ...]]:
    tenant, agent, task_type = slot
    columns = table.c  # type: ignore[attr-defined]  # a Table
    return query.where(columns.tenant == tenant, columns.agent == agent, columns.task_type == task_type)
