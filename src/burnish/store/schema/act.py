"""Stage 7 tables: which model a kind of task starts with, and the counters people watch."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Table, UniqueConstraint

from burnish.store.columns import Column, Integer, String, UtcTime, identity
from burnish.store.schema.base import metadata

model_routing = Table(
    "model_routing",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("task_type", String(200), nullable=False),
    Column("mode", String(20), nullable=False),
    Column("current_model", String(200)),
    Column("consecutive_low_scores", Integer, nullable=False),
    Column("consecutive_high_scores", Integer, nullable=False),
    Column("promotion_flag", Boolean, nullable=False),
    Column("demotion_review", Boolean, nullable=False),
    Column("distillation_status", String(30), nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    CheckConstraint("mode IN ('pinned', 'start', 'learned')", name="mode"),
    UniqueConstraint("tenant", "task_type"),
)
