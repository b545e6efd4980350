"""The SQL of scoring: every loss ever computed, and the trend of an agent's losses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, bindparam, func, select, update

from burnish.capture.ledger import chunks, to_record
from burnish.store.rows import inserter
from burnish.store.schema.capture import runs
from burnish.store.schema.score import run_losses

SETTLED = ("loss", "success", "user_accepted", "user_rating", "quality")
"""Columns of a run that scoring settles."""


class LossRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One computation of a run's loss, fields in the order of the table's columns."""

    id: str
    created_at: datetime
    tenant: str
    agent: str
    run_id: str
    revision: int
    loss: float | None
    coverage: float
    vetoed: bool
    quality: float | None
    model: str | None
    epoch: int
    gate_failures: float | None
    contradictions: float | None
    ungrounded: float | None
    cost_overrun: float | None
    latency_overrun: float | None
    security: float | None
    api_breakages: float | None
    migration_failures: float | None
    rag_uncovered: float | None
    extra_terms: dict[str, float | None]
    weights: dict[str, float]
    breakdown: dict[str, dict[str, float]]
    inputs: dict[str, object]
    cause: str


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """Mean loss of an agent now and before. Negative change is improvement; None without runs on both sides."""

    agent: str
    runs: int
    mean_loss: float | None
    change_7d: float | None
    change_30d: float | None


def write(connection: Connection, kind: str, records: Sequence[LossRecord], late: Sequence[dict[str, object]]) -> None:
    """Add the computations, and bring the rows of runs that got late evidence up to date.

    Args:
        connection: A write transaction.
        kind: The kind of database.
        records: The computations.
        late: For each run already in the ledger: run_id, new_loss, new_success, new_user_accepted, new_user_rating and
            new_quality.
    """
    inserter(run_losses, kind)(connection, [msgspec.structs.astuple(record) for record in records])
    if late:
        settled = update(runs).where(runs.c.id == bindparam("run_id"))
        connection.execute(settled.values({name: bindparam(f"new_{name}") for name in SETTLED}), list(late))


def latest(connection: Connection, run_ids: Sequence[str]) -> dict[str, LossRecord]:
    """Return the newest computation of each run that has one."""
    found: dict[str, LossRecord] = {}
    for chunk in chunks(run_ids):
        query = select(run_losses).where(run_losses.c.run_id.in_(chunk)).order_by(run_losses.c.revision)
        for row in connection.execute(query).mappings():
            found[row["run_id"]] = to_record(row, LossRecord)
    return found


def history(connection: Connection, run_id: str) -> list[LossRecord]:
    """Return every computation of one run's loss, oldest first."""
    query = select(run_losses).where(run_losses.c.run_id == run_id).order_by(run_losses.c.revision)
    return [to_record(row, LossRecord) for row in connection.execute(query).mappings()]


def trend(connection: Connection, *, tenant: str, agent: str, now: datetime) -> Trend:
    """Compare the last 7 and 30 days with the 7 and 30 days before them."""
    means = {days: _window(connection, tenant, agent, now, days) for days in (7, 30)}
    recent, count = _mean(connection, tenant, agent, now - timedelta(days=30), now)
    return Trend(agent=agent, runs=count, mean_loss=recent, change_7d=means[7], change_30d=means[30])


def _window(connection: Connection, tenant: str, agent: str, now: datetime, days: int) -> float | None:
    middle = now - timedelta(days=days)
    late, _ = _mean(connection, tenant, agent, middle, now)
    early, _ = _mean(connection, tenant, agent, middle - timedelta(days=days), middle)
    return None if late is None or early is None else late - early


def _mean(connection: Connection, tenant: str, agent: str, start: datetime, end: datetime) -> tuple[float | None, int]:
    query = select(func.avg(runs.c.loss), func.count(runs.c.loss)).where(
        runs.c.tenant == tenant, runs.c.agent == agent, runs.c.started_at >= start, runs.c.started_at <= end
    )
    mean, count = connection.execute(query).one()
    return (None if mean is None else float(mean)), int(count)
