"""Stage 1 tables: what a run did, as it was seen.

No foreign keys: rows of one run may arrive in any order and from different processes (a feedback before its run, a
child before its parent), and PostgreSQL partitions runs. The writer keeps the rows of one run in one transaction.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, Table, UniqueConstraint

from burnish.store.columns import Boolean, Column, Count, Id, Integer, Json, Real, String, Text, UtcTime, identity
from burnish.store.schema.base import metadata

conversations = Table(
    "conversations",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("key", String(500), nullable=False),
    Column("user_id", String(200)),
    UniqueConstraint("tenant", "key"),
)

runs = Table(
    "runs",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("project", String(500)),
    Column("agent", String(200), nullable=False),
    Column("phase", String(200)),
    Column("conversation", String(500)),
    Column("parent_id", Id),
    Column("root_id", Id, nullable=False),
    Column("task", Text),
    Column("task_type", String(200), nullable=False),
    Column("features", Json, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("duration_s", Real, nullable=False),
    Column("success", Boolean),
    Column("quality", Real),
    Column("model", String(200)),
    Column("policy_id", String(200)),
    Column("cost_usd", Real),
    Column("prompt_tokens", Count),
    Column("completion_tokens", Count),
    Column("estimated_cost_usd", Real),
    Column("estimated_duration_s", Real),
    Column("estimated_quality", Real),
    Column("estimated_tokens", Count),
    Column("budget_usd", Real),
    Column("routing_confidence", Real),
    Column("complexity", Integer),
    Column("tier", String(100)),
    Column("pool", String(200)),
    Column("peak_memory_mb", Real),
    Column("cpu_time_s", Real),
    Column("user_accepted", Boolean),
    Column("user_rating", Integer),
    Column("error_type", String(200)),
    Column("error", Text),
    Column("output", Text),
    Column("solution_summary", Text),
    Column("embedding_text", Text),
    Column("extra", Json, nullable=False),
    Column("loss", Real),
    Column("process_id", Id, nullable=False),
    CheckConstraint("quality IS NULL OR (quality >= 0 AND quality <= 1)", name="quality_range"),
    CheckConstraint("loss IS NULL OR (loss >= 0 AND loss <= 1)", name="loss_range"),
    CheckConstraint("user_rating IS NULL OR (user_rating >= 1 AND user_rating <= 5)", name="rating_range"),
    CheckConstraint("cost_usd IS NULL OR cost_usd >= 0", name="cost_range"),
    Index("ix_runs_tenant_agent_started_at", "tenant", "agent", "started_at"),
    Index("ix_runs_tenant_started_at", "tenant", "started_at"),
    Index("ix_runs_parent_id", "parent_id"),
)

calls = Table(
    "calls",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("run_id", Id, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("name", String(200)),
    Column("model", String(200)),
    Column("provider", String(100)),
    Column("prompt_tokens", Count),
    Column("completion_tokens", Count),
    Column("cached_tokens", Count),
    Column("cost_usd", Real),
    Column("latency_s", Real),
    Column("finish_reason", String(100)),
    Column("tool_names", Json, nullable=False),
    Column("response_id", String(200)),
    Column("error_type", String(200)),
    Column("error", Text),
    CheckConstraint("kind IN ('model', 'tool')", name="kind"),
    Index("ix_calls_run_id", "run_id"),
    Index("ix_calls_response_id", "response_id"),
)

decisions = Table(
    "decisions",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("run_id", Id, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("agent", String(200), nullable=False),
    Column("task_type", String(200), nullable=False),
    Column("policy_id", String(200)),
    Column("rule", String(50), nullable=False),
    Column("reason", Text, nullable=False),
    Column("model", String(200), nullable=False),
    Column("propensity", Real, nullable=False),
    Column("candidates", Json, nullable=False),
    Column("fallbacks", Json, nullable=False),
    Column("novelty", Real),
    Column("price_of_cost", Real, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("failure_kind", String(50)),
    CheckConstraint("propensity > 0 AND propensity <= 1", name="propensity_range"),
    UniqueConstraint("run_id", "attempt"),
)

outcome_signals = Table(
    "outcome_signals",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("run_id", Id, nullable=False),
    Column("name", String(100), nullable=False),
    Column("value", Real),
    Column("label", Text),
    Column("reason", Text),
    Column("source", String(100), nullable=False),
    Column("late", Boolean, nullable=False),
    Index("ix_outcome_signals_run_id", "run_id"),
)

pool_events = Table(
    "pool_events",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("pool", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("facts", Json, nullable=False),
    CheckConstraint("kind IN ('created', 'closed')", name="kind"),
    Index("ix_pool_events_tenant_pool", "tenant", "pool"),
)
