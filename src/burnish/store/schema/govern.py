"""Governance tables: how learning is configured, per tenant, agent and phase."""

from __future__ import annotations

from sqlalchemy import Table, UniqueConstraint

from burnish.store.columns import Column, Json, String, UtcTime, identity
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
