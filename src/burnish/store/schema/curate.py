"""Stage 3 tables: frozen sets of items that a candidate must not do worse on."""

from __future__ import annotations

from sqlalchemy import Table, UniqueConstraint

from burnish.store.columns import Column, Count, Integer, Json, String, Text, identity
from burnish.store.schema.base import metadata

golden_datasets = Table(
    "golden_datasets",
    metadata,
    *identity(),
    Column("tenant", String(200), nullable=False),
    Column("name", String(200), nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", String(71), nullable=False),
    Column("size", Count, nullable=False),
    Column("items", Json, nullable=False),
    Column("note", Text),
    UniqueConstraint("tenant", "name", "version"),
)
