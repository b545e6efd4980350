"""Configuration in the store: the most specific of (tenant, agent, phase) wins."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, select

from burnish.errors import InvalidValue
from burnish.govern.keys import KEYS, checked
from burnish.ids import IdSource
from burnish.store.schema.govern import learning_configuration as table

Scope = tuple[str, str, str]


class Configuration(msgspec.Struct, frozen=True):
    """Everything configured, at one revision of the store. An empty agent or phase means all of them."""

    values: Mapping[tuple[str, Scope], object] = {}

    def get(self, key: str, tenant: str, agent: str = "", phase: str | None = None) -> object:
        """Return the value in force, or the key's default."""
        for scope in ((tenant, agent, phase or ""), (tenant, agent, ""), (tenant, "", phase or ""), (tenant, "", "")):
            if (key, scope) in self.values:
                return self.values[key, scope]
        return KEYS[key].default

    def number(self, key: str, tenant: str, agent: str = "", phase: str | None = None) -> float | None:
        """Return the value in force as a float, or None when it is not set."""
        found = self.get(key, tenant, agent, phase)
        return float(found) if isinstance(found, (int, float)) else None


def load(connection: Connection) -> Configuration:
    """Read the whole configuration: a few dozen rows."""
    rows = connection.execute(
        select(table.c.config_key, table.c.tenant, table.c.agent, table.c.phase, table.c.config_value)
    )
    return Configuration({(row[0], (row[1], row[2], row[3])): row[4] for row in rows})


def put(
    connection: Connection,
    key: str,
    value: object,
    *,
    tenant: str,
    agent: str = "",
    phase: str = "",
    ids: IdSource,
    now: datetime,
) -> None:
    """Set one value.

    Raises:
        InvalidValue: Unknown key, or a value that does not fit it.
    """
    stored = checked(key, value)
    if phase and not agent and key.startswith("route."):
        raise InvalidValue("phase", phase, "routing is configured per tenant and agent; phases weigh only the loss")
    if (agent or phase) and key.startswith("redact."):
        raise InvalidValue("agent", agent or phase, "redaction is configured per tenant")
    where = _where(key, tenant, agent, phase)
    connection.execute(delete(table).where(*where))
    connection.execute(
        table.insert().values(
            id=ids(),
            created_at=now,
            updated_at=now,
            tenant=tenant,
            agent=agent,
            phase=phase,
            config_key=key,
            config_value=stored,
        )
    )


def reset(connection: Connection, key: str, *, tenant: str, agent: str = "", phase: str = "") -> bool:
    """Return one value to its default; False when it was not set."""
    checked(key, KEYS[key].default if key in KEYS else None)
    return connection.execute(delete(table).where(*_where(key, tenant, agent, phase))).rowcount > 0


def _where(key: str, tenant: str, agent: str, phase: str) -> tuple[ColumnElement[bool], ...]:
    return table.c.config_key == key, table.c.tenant == tenant, table.c.agent == agent, table.c.phase == phase
