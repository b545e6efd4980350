"""Stage 6 tables: how policies earned their status, and every run that took part in proving one."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Index, Table, UniqueConstraint

from burnish.store.columns import Column, Count, Id, Integer, Json, Real, String, Text, UtcTime, identity
from burnish.store.schema.base import metadata

policy_promotions = Table(
    "policy_promotions",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("task_type", String(200), nullable=False),
    Column("policy", String(71), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("from_status", String(20), nullable=False),
    Column("to_status", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", Json, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("approver", String(200)),
    Column("envelope", Text, nullable=False),
    UniqueConstraint("policy", "revision"),
    Index("ix_policy_promotions_tenant_agent", "tenant", "agent"),
)

policy_approvals = Table(
    "policy_approvals",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("policy", String(71), nullable=False),
    Column("approver", String(200), nullable=False),
    Column("note", Text),
    UniqueConstraint("policy", "approver"),
)

offline_replays = Table(
    "offline_replays",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("task_type", String(200), nullable=False),
    Column("policy", String(71), nullable=False),
    Column("baseline", String(71)),
    Column("method", String(20), nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("items", Count, nullable=False),
    Column("seeds", Count, nullable=False),
    Column("mean_delta", Real),
    Column("low", Real),
    Column("high", Real),
    Column("data_digest", String(71), nullable=False),
    Column("report", Json, nullable=False),
    Column("cost_usd", Real, nullable=False),
    Column("duration_s", Real, nullable=False),
    CheckConstraint("method IN ('recorded', 'function', 'off_policy')", name="method"),
    CheckConstraint("verdict IN ('pass', 'fail', 'inconclusive')", name="verdict"),
    Index("ix_offline_replays_policy", "policy"),
)

deployments = Table(
    "deployments",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("task_type", String(200), nullable=False),
    Column("mode", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    Column("control", String(71)),
    Column("candidates", Json, nullable=False),
    Column("plan", Json, nullable=False),
    Column("state", Json, nullable=False),
    Column("assigned", Count, nullable=False),
    Column("processed", Count, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("reason", Text),
    Column("updated_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    CheckConstraint("mode IN ('shadow', 'canary', 'holdback')", name="mode"),
    CheckConstraint(
        "status IN ('running', 'paused', 'awaiting_approval', 'promoted', 'passed', 'rolled_back', 'failed', "
        "'inconclusive', 'aborted', 'finished')",
        name="status",
    ),
    Index("ix_deployments_tenant_agent_status", "tenant", "agent", "status"),
)

deployment_assignments = Table(
    "deployment_assignments",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("deployment", Id, nullable=False),
    Column("seq", Count, nullable=False),
    Column("run_id", Id, nullable=False),
    Column("unit", String(700), nullable=False),
    Column("task_type", String(200), nullable=False),
    Column("arm", Integer, nullable=False),
    Column("probabilities", Json, nullable=False),
    Column("loss", Real),
    Column("candidate_loss", Real),
    Column("facts", Json, nullable=False),
    Column("scored_at", UtcTime),
    Column("used", Boolean, nullable=False),
    CheckConstraint("loss IS NULL OR (loss >= 0 AND loss <= 1)", name="loss_range"),
    CheckConstraint("candidate_loss IS NULL OR (candidate_loss >= 0 AND candidate_loss <= 1)", name="candidate_range"),
    UniqueConstraint("deployment", "run_id"),
    UniqueConstraint("deployment", "seq"),
    Index("ix_deployment_assignments_run_id", "run_id"),
)
