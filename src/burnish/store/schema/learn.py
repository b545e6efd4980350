"""Stage 4 tables: additive counters, so that any number of processes can add to them without losing one another's.

Every counter row is the plain sum of what scored runs contributed, nothing else. Error patterns carry their counters
with them; a `project` that is empty means all projects of the tenant.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, Table, UniqueConstraint

from burnish.store.columns import Boolean, Column, Count, Id, Integer, Json, Real, String, Text, UtcTime, identity
from burnish.store.schema.base import metadata

model_performance = Table(
    "model_performance",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("task_type", String(200), nullable=False),
    Column("model", String(200), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("n_quality", Count, nullable=False),
    Column("sum_quality", Real, nullable=False),
    Column("sum_quality_sq", Real, nullable=False),
    Column("n_cost", Count, nullable=False),
    Column("sum_cost", Real, nullable=False),
    Column("n_latency", Count, nullable=False),
    Column("sum_latency", Real, nullable=False),
    Column("n_rating", Count, nullable=False),
    Column("sum_rating", Real, nullable=False),
    Column("transport_failures", Count, nullable=False),
    UniqueConstraint("tenant", "agent", "task_type", "model", "epoch"),
)

fallback_performance = Table(
    "fallback_performance",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("task_type", String(200), nullable=False),
    Column("failed_model", String(200), nullable=False),
    Column("failure_kind", String(50), nullable=False),
    Column("next_model", String(200), nullable=False),
    Column("trials", Count, nullable=False),
    Column("successes", Real, nullable=False),
    UniqueConstraint("tenant", "agent", "task_type", "failed_model", "failure_kind", "next_model"),
)

model_health = Table(
    "model_health",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("model", String(200), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("observed", Count, nullable=False),
    Column("drift_state", Json, nullable=False),
    Column("cooldown", Integer, nullable=False),
    UniqueConstraint("tenant", "agent", "model"),
)

drift_alarms = Table(
    "drift_alarms",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("model", String(200), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("run_id", Id, nullable=False),
    Column("evidence", Real, nullable=False),
    Column("observed", Count, nullable=False),
    Column("note", Text, nullable=False),
    Index("ix_drift_alarms_tenant_agent", "tenant", "agent"),
)

spend_pacing = Table(
    "spend_pacing",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("runs", Count, nullable=False),
    Column("spent_usd", Real, nullable=False),
    Column("month", String(7), nullable=False),
    Column("month_spent_usd", Real, nullable=False),
    Column("smoothed_cost", Real),
    Column("price_of_cost", Real, nullable=False),
    Column("debt", Real, nullable=False),
    UniqueConstraint("tenant", "agent"),
)

error_patterns = Table(
    "error_patterns",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("project", String(500), nullable=False),
    Column("key", String(100), nullable=False),
    Column("name", String(200), nullable=False),
    Column("category", String(20), nullable=False),
    Column("template", Text, nullable=False),
    Column("shape", Text, nullable=False),
    Column("literal", Text, nullable=False),
    Column("file_pattern", String(200), nullable=False),
    Column("fix_type", String(20), nullable=False),
    Column("fix_template", Text, nullable=False),
    Column("explanation", Text, nullable=False),
    Column("confidence", Real, nullable=False),
    Column("successes", Count, nullable=False),
    Column("failures", Count, nullable=False),
    Column("learned", Count, nullable=False),
    Column("built_in", Boolean, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("source", String(500), nullable=False),
    Column("version", Count, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("last_matched_at", UtcTime),
    CheckConstraint(
        "category IN ('syntax', 'import', 'type', 'runtime', 'build', 'lint', 'style')",
        name="category",
    ),
    CheckConstraint("fix_type IN ('replace', 'insert', 'delete', 'refactor', 'multi_file')", name="fix_type"),
    CheckConstraint("confidence >= 0 AND confidence <= 1", name="confidence_range"),
    UniqueConstraint("tenant", "project", "key"),
    Index("ix_error_patterns_tenant_version", "tenant", "version"),
)

error_escalations = Table(
    "error_escalations",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("project", String(500), nullable=False),
    Column("run_id", Id),
    Column("error_type", String(200), nullable=False),
    Column("signature", String(500), nullable=False),
    Column("signature_digest", String(64), nullable=False),
    Column("level", Integer, nullable=False),
    Column("resolved", Boolean, nullable=False),
    Column("fix", Text),
    Column("occurred_at", UtcTime, nullable=False),
    CheckConstraint("level >= 0 AND level <= 9", name="level_range"),
    Index("ix_error_escalations_tenant_signature_digest", "tenant", "signature_digest"),
    Index("ix_error_escalations_tenant_resolved", "tenant", "resolved", "occurred_at"),
)
