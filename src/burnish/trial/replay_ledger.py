"""The SQL of replays: every report, kept with the policy it is about and the data it was found on.

What logged runs say of a policy is kept beside them: for a change of routing alone it answers the same question.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, Select, select

from burnish.capture.ledger import to_record
from burnish.ids import IdSource
from burnish.store.rows import inserter
from burnish.store.schema.trial import offline_replays as table
from burnish.trial.offpolicy_record import OffPolicyReport
from burnish.trial.replay_record import Method, ReplayReport, Verdict


class ReplayRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One replay as it was recorded, fields in the order of the table's columns."""

    id: str
    created_at: datetime
    tenant: str
    agent: str
    task_type: str
    policy: str
    baseline: str | None
    method: Method
    verdict: Verdict
    items: int
    seeds: int
    mean_delta: float | None
    low: float | None
    high: float | None
    data_digest: str
    report: ReplayReport
    cost_usd: float
    """All that was spent."""
    duration_s: float


def record(connection: Connection, kind: str, report: ReplayReport, *, ids: IdSource, now: datetime) -> str:
    """Keep a report, and return its id."""
    row = ReplayRecord(
        id=ids(),
        created_at=now,
        tenant=report.tenant,
        agent=report.agent,
        task_type=report.task_type,
        policy=report.candidate,
        baseline=report.baseline,
        method=report.method,
        verdict=report.verdict,
        items=report.items,
        seeds=len(report.seeds),
        mean_delta=report.mean_delta,
        low=report.low,
        high=report.high,
        data_digest=report.data_digest,
        report=report,
        cost_usd=report.spent_usd,
        duration_s=report.duration_s,
    )
    inserter(table, kind)(connection, [msgspec.structs.astuple(row)])
    return row.id


def record_off_policy(
    connection: Connection,
    kind: str,
    report: OffPolicyReport,
    *,
    policy: str,
    baseline: str | None,
    ids: IdSource,
    now: datetime,
) -> str:
    """Keep what logged runs say of a policy, and return its id.

    Args:
        connection: A write transaction.
        kind: The kind of database.
        report: What they say.
        policy: Digest of the policy.
        baseline: Digest of the policy under which they were served.
        ids: Makes the id.
        now: The time.
    """
    identity = ids()
    values = (identity, now, report.tenant, report.agent, report.task_type, policy, baseline, "off_policy")
    found = (report.verdict, report.runs, 0, report.dr, report.low, report.high, report.data_digest)
    inserter(table, kind)(connection, [(*values, *found, msgspec.to_builtins(report), 0.0, 0.0)])
    return identity


def latest(connection: Connection, policy: str) -> ReplayRecord | None:
    """Return the newest replay of a policy by its digest, or None when it was never replayed."""
    row = connection.execute(_of(policy).limit(1)).mappings().first()
    return None if row is None else to_record(row, ReplayRecord)


def history(connection: Connection, policy: str, *, limit: int = 50) -> Sequence[ReplayRecord]:
    """Return the replays of a policy, newest first."""
    return [to_record(row, ReplayRecord) for row in connection.execute(_of(policy).limit(limit)).mappings()]


def _of(policy: str) -> Select[tuple[object, ...]]:
    return select(table).where(table.c.policy == policy, table.c.method != "off_policy").order_by(table.c.id.desc())
