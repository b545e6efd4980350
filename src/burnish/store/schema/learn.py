"""Stage 4 tables: additive counters, so that any number of processes can add to them without losing one another's.

Every counter row is the plain sum of what scored runs contributed, nothing else.
"""

from __future__ import annotations

from sqlalchemy import Index, Table, UniqueConstraint

from burnish.store.columns import Column, Count, Id, Integer, Json, Real, String, Text, UtcTime, identity
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
