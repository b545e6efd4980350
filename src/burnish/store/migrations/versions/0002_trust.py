"""Trust: policies and their slots, experiments, trials and their assignments, golden sets, the audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from burnish.store.columns import Id, Json, Real, UtcTime

revision = "0002"
down_revision = "0001"

TABLES = (
    "audit_checkpoints",
    "deployment_assignments",
    "deployments",
    "experiments",
    "golden_datasets",
    "learning_audit_log",
    "offline_replays",
    "policies",
    "policy_approvals",
    "policy_promotions",
    "policy_slots",
)


def upgrade() -> None:
    op.create_table(
        "audit_checkpoints",
        sa.Column("id", Id, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_checkpoints")),
        sa.UniqueConstraint("size", "root", name=op.f("uq_audit_checkpoints_size_root")),
    )
    op.create_table(
        "deployment_assignments",
        sa.Column("id", Id, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("deployment", Id, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("run_id", Id, nullable=False),
        sa.Column("unit", sa.String(length=700), nullable=False),
        sa.Column("task_type", sa.String(length=200), nullable=False),
        sa.Column("arm", sa.Integer(), nullable=False),
        sa.Column("probabilities", Json, nullable=False),
        sa.Column("loss", Real),
        sa.Column("candidate_loss", Real),
        sa.Column("facts", Json, nullable=False),
        sa.Column("scored_at", UtcTime()),
        sa.Column("used", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "candidate_loss IS NULL OR (candidate_loss >= 0 AND candidate_loss <= 1)",
            name=op.f("ck_deployment_assignments_candidate_range"),
        ),
        sa.CheckConstraint(
            "loss IS NULL OR (loss >= 0 AND loss <= 1)", name=op.f("ck_deployment_assignments_loss_range")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployment_assignments")),
        sa.UniqueConstraint("deployment", "run_id", name=op.f("uq_deployment_assignments_deployment_run_id")),
        sa.UniqueConstraint("deployment", "seq", name=op.f("uq_deployment_assignments_deployment_seq")),
    )
    op.create_index("ix_deployment_assignments_run_id", "deployment_assignments", ["run_id"])
    op.create_table(
        "deployments",
        sa.Column("id", Id, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("task_type", sa.String(length=200), nullable=False),
        sa.Column("mode", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("control", sa.String(length=71)),
        sa.Column("candidates", Json, nullable=False),
        sa.Column("plan", Json, nullable=False),
        sa.Column("state", Json, nullable=False),
        sa.Column("assigned", sa.BigInteger(), nullable=False),
        sa.Column("processed", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.Column("ended_at", UtcTime()),
        sa.CheckConstraint("mode IN ('shadow', 'canary', 'holdback')", name=op.f("ck_deployments_mode")),
        sa.CheckConstraint(
            "status IN ('running', 'paused', 'awaiting_approval', 'promoted', 'passed', 'rolled_back', "
            "'failed', 'inconclusive', 'aborted', 'finished')",
            name=op.f("ck_deployments_status"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployments")),
    )
    op.create_index("ix_deployments_tenant_agent_status", "deployments", ["tenant", "agent", "status"])
    op.create_table(
        "experiments",
        sa.Column("id", Id, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("task_type", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("configuration", Json, nullable=False),
        sa.Column("policy", sa.String(length=71)),
        sa.Column("loss_before", Real),
        sa.Column("loss_after", Real),
        sa.Column("loss_delta", Real),
        sa.Column("stability", Real),
        sa.Column("seeds", Json, nullable=False),
        sa.Column("cost_usd", Real, nullable=False),
        sa.Column("duration_s", Real, nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('prompt_synthesis', 'adapter_training', 'tool_tuning', 'rag_optimization')",
            name=op.f("ck_experiments_kind"),
        ),
        sa.CheckConstraint("status IN ('running', 'finished', 'failed')", name=op.f("ck_experiments_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiments")),
    )
    op.create_index("ix_experiments_tenant_agent_created_at", "experiments", ["tenant", "agent", "created_at"])
    op.create_table(
        "golden_datasets",
        sa.Column("id", Id, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("items", Json, nullable=False),
        sa.Column("note", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_golden_datasets")),
        sa.UniqueConstraint("tenant", "name", "version", name=op.f("uq_golden_datasets_tenant_name_version")),
    )
    op.create_table(
        "learning_audit_log",
        sa.Column("id", Id, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("subject", sa.String(length=500), nullable=False),
        sa.Column("payload", Json),
        sa.Column("salt", sa.String(length=64), nullable=False),
        sa.Column("payload_digest", sa.String(length=64), nullable=False),
        sa.Column("leaf", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_learning_audit_log")),
        sa.UniqueConstraint("seq", name=op.f("uq_learning_audit_log_seq")),
    )
    op.create_index("ix_learning_audit_log_tenant_subject", "learning_audit_log", ["tenant", "subject"])
    op.create_table(
        "offline_replays",
        sa.Column("id", Id, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("task_type", sa.String(length=200), nullable=False),
        sa.Column("policy", sa.String(length=71), nullable=False),
        sa.Column("baseline", sa.String(length=71)),
        sa.Column("method", sa.String(length=20), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("items", sa.BigInteger(), nullable=False),
        sa.Column("seeds", sa.BigInteger(), nullable=False),
        sa.Column("mean_delta", Real),
        sa.Column("low", Real),
        sa.Column("high", Real),
        sa.Column("data_digest", sa.String(length=71), nullable=False),
        sa.Column("report", Json, nullable=False),
        sa.Column("cost_usd", Real, nullable=False),
        sa.Column("duration_s", Real, nullable=False),
        sa.CheckConstraint("method IN ('recorded', 'function', 'off_policy')", name=op.f("ck_offline_replays_method")),
        sa.CheckConstraint("verdict IN ('pass', 'fail', 'inconclusive')", name=op.f("ck_offline_replays_verdict")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_offline_replays")),
    )
    op.create_index("ix_offline_replays_policy", "offline_replays", ["policy"])
    op.create_table(
        "policies",
        sa.Column("id", Id, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("task_type", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("high_stakes", sa.Boolean(), nullable=False),
        sa.Column("author", sa.String(length=200), nullable=False),
        sa.Column("parent", sa.String(length=71)),
        sa.Column("experiment", sa.String(length=200)),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("envelope", sa.Text(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.CheckConstraint(
            "status IN ('draft', 'shadow', 'canary', 'active', 'archived')", name=op.f("ck_policies_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policies")),
        sa.UniqueConstraint("digest", name=op.f("uq_policies_digest")),
        sa.UniqueConstraint(
            "tenant", "agent", "task_type", "version", name=op.f("uq_policies_tenant_agent_task_type_version")
        ),
    )
    op.create_table(
        "policy_approvals",
        sa.Column("id", Id, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("policy", sa.String(length=71), nullable=False),
        sa.Column("approver", sa.String(length=200), nullable=False),
        sa.Column("note", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_approvals")),
        sa.UniqueConstraint("policy", "approver", name=op.f("uq_policy_approvals_policy_approver")),
    )
    op.create_table(
        "policy_promotions",
        sa.Column("id", Id, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("task_type", sa.String(length=200), nullable=False),
        sa.Column("policy", sa.String(length=71), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("from_status", sa.String(length=20), nullable=False),
        sa.Column("to_status", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", Json, nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("approver", sa.String(length=200)),
        sa.Column("envelope", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_promotions")),
        sa.UniqueConstraint("policy", "revision", name=op.f("uq_policy_promotions_policy_revision")),
    )
    op.create_index("ix_policy_promotions_tenant_agent", "policy_promotions", ["tenant", "agent"])
    op.create_table(
        "policy_slots",
        sa.Column("id", Id, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("task_type", sa.String(length=200), nullable=False),
        sa.Column("active", sa.String(length=71)),
        sa.Column("deployment", Id),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_slots")),
        sa.UniqueConstraint("tenant", "agent", "task_type", name=op.f("uq_policy_slots_tenant_agent_task_type")),
    )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
