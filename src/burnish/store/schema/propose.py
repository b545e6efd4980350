"""Stage 5 tables: policies, the one slot each of them competes for, and the experiments that made them."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Index, Table, UniqueConstraint

from burnish.store.columns import Column, Id, Integer, Json, Real, String, Text, UtcTime, identity
from burnish.store.schema.base import metadata

policies = Table(
    "policies",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("task_type", String(200), nullable=False),
    Column("digest", String(71), nullable=False),
    Column("version", Integer, nullable=False),
    Column("status", String(20), nullable=False),
    Column("high_stakes", Boolean, nullable=False),
    Column("author", String(200), nullable=False),
    Column("parent", String(71)),
    Column("experiment", String(200)),
    Column("content", Text, nullable=False),
    Column("envelope", Text, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    CheckConstraint("status IN ('draft', 'shadow', 'canary', 'active', 'archived')", name="status"),
    UniqueConstraint("digest"),
    UniqueConstraint("tenant", "agent", "task_type", "version"),
)

policy_slots = Table(
    "policy_slots",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("task_type", String(200), nullable=False),
    Column("active", String(71)),
    Column("deployment", Id),
    Column("revision", Integer, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    UniqueConstraint("tenant", "agent", "task_type"),
)

experiments = Table(
    "experiments",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("task_type", String(200), nullable=False),
    Column("kind", String(30), nullable=False),
    Column("status", String(20), nullable=False),
    Column("configuration", Json, nullable=False),
    Column("policy", String(71)),
    Column("loss_before", Real),
    Column("loss_after", Real),
    Column("loss_delta", Real),
    Column("stability", Real),
    Column("seeds", Json, nullable=False),
    Column("cost_usd", Real, nullable=False),
    Column("duration_s", Real, nullable=False),
    Column("note", Text),
    Column("updated_at", UtcTime, nullable=False),
    CheckConstraint(
        "kind IN ('prompt_synthesis', 'adapter_training', 'tool_tuning', 'rag_optimization')",
        name="kind",
    ),
    CheckConstraint("status IN ('running', 'finished', 'failed')", name="status"),
    Index("ix_experiments_tenant_agent_created_at", "tenant", "agent", "created_at"),
)
