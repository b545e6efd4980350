"""Governance tables: how learning is configured per tenant, agent and phase, and the log of what was changed."""

from __future__ import annotations

from sqlalchemy import Index, Table, UniqueConstraint

from burnish.store.columns import Column, Count, Json, String, Text, UtcTime, identity
from burnish.store.schema.base import metadata

learning_configuration = Table(
    "learning_configuration",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("phase", String(200), nullable=False),
    Column("config_key", String(100), nullable=False),
    Column("config_value", Json, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    UniqueConstraint("tenant", "agent", "phase", "config_key"),
)

learning_audit_log = Table(
    "learning_audit_log",
    metadata,
    *identity(),
    Column("seq", Count, nullable=False),
    Column("tenant", String(200), nullable=False),
    Column("kind", String(100), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("subject", String(500), nullable=False),
    Column("payload", Json),
    Column("salt", String(64), nullable=False),
    Column("payload_digest", String(64), nullable=False),
    Column("leaf", String(64), nullable=False),
    UniqueConstraint("seq"),
    Index("ix_learning_audit_log_tenant_subject", "tenant", "subject"),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    *identity(),
    Column("size", Count, nullable=False),
    Column("root", String(64), nullable=False),
    Column("note", Text, nullable=False),
    UniqueConstraint("size", "root"),
)
