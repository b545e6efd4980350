"""Stage 2 tables: gates a run passed or failed, and the loss it was given, with everything the loss was made of."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, Table, UniqueConstraint

from burnish.store.columns import Boolean, Column, Id, Integer, Json, Real, String, Text, identity
from burnish.store.schema.base import metadata

gates = Table(
    "gates",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("run_id", Id, nullable=False),
    Column("name", String(200), nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("score", Real, nullable=False),
    Column("reason", Text),
    CheckConstraint("score >= 0 AND score <= 1", name="score_range"),
    Index("ix_gates_run_id", "run_id"),
)

run_losses = Table(
    "run_losses",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("run_id", Id, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("loss", Real),
    Column("coverage", Real, nullable=False),
    Column("vetoed", Boolean, nullable=False),
    Column("quality", Real),
    Column("model", String(200)),
    Column("epoch", Integer, nullable=False),
    Column("gate_failures", Real),
    Column("contradictions", Real),
    Column("ungrounded", Real),
    Column("cost_overrun", Real),
    Column("latency_overrun", Real),
    Column("security", Real),
    Column("api_breakages", Real),
    Column("migration_failures", Real),
    Column("rag_uncovered", Real),
    Column("extra_terms", Json, nullable=False),
    Column("weights", Json, nullable=False),
    Column("breakdown", Json, nullable=False),
    Column("inputs", Json, nullable=False),
    Column("cause", String(50), nullable=False),
    CheckConstraint("loss IS NULL OR (loss >= 0 AND loss <= 1)", name="loss_range"),
    CheckConstraint("coverage >= 0 AND coverage <= 1", name="coverage_range"),
    UniqueConstraint("run_id", "revision"),
    Index("ix_run_losses_tenant_agent_created_at", "tenant", "agent", "created_at"),
)
