"""The table people edit: how each kind of task is routed, and the counters they watch.

Modes: `pinned` (always this model), `start` (this model until a few runs are scored, then what was learned) and
`learned`. A row may name a model or a family: "opus" stands for the first candidate whose name contains it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, bindparam, select, update

from burnish.capture.ledger import to_record
from burnish.errors import InvalidValue
from burnish.govern.configuration import Configuration
from burnish.ids import IdSource
from burnish.score.scoring import Scored
from burnish.store.rows import inserter
from burnish.store.schema.act import model_routing as table

MODES = ("pinned", "start", "learned")
FLAG_AFTER = 5
"""Consecutive low (or high) scores after which a row is flagged for promotion (or demotion review)."""

SEEDS: Mapping[str, str] = {
    "email_extraction": "sonnet",
    "checklist_update": "sonnet",
    "disclosure_generation": "opus",
    "negotiation_analysis": "opus",
    "document_drafting": "opus",
    "self_evaluation": "sonnet",
    "consistency_check": "sonnet",
    "reflection": "opus",
    "meta_intervention": "opus",
}


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """How one task type is routed."""

    task_type: str
    mode: str = "learned"
    current_model: str | None = None
    consecutive_low_scores: int = 0
    consecutive_high_scores: int = 0
    promotion_flag: bool = False
    demotion_review: bool = False
    distillation_status: str = "not_started"

    def resolve(self, models: Sequence[str]) -> str | None:
        """Return the candidate this row means: the model of that name, else the first of that family."""
        wanted = self.current_model
        if wanted is None or wanted in models:
            return wanted
        return next((model for model in models if wanted.lower() in model.lower()), None)


def seed(connection: Connection, kind: str, *, tenant: str, ids: IdSource, now: datetime) -> None:
    """Write down the rows that the tenant of a new store starts with; existing rows stay."""
    rows = [
        (ids(), now, tenant, task_type, "start", family, 0, 0, False, False, "not_started", now)
        for task_type, family in SEEDS.items()
    ]
    inserter(table, kind)(connection, rows)


def load(connection: Connection, tenant: str) -> dict[str, Routing]:
    """Return every row of a tenant, by task type; a tenant without rows has those that all start with."""
    rows = connection.execute(select(table).where(table.c.tenant == tenant).order_by(table.c.task_type)).mappings()
    seeds = {name: Routing(task_type=name, mode="start", current_model=family) for name, family in SEEDS.items()}
    return {**seeds, **{row["task_type"]: to_record(row, Routing) for row in rows}}


def put(
    connection: Connection,
    kind: str,
    *,
    tenant: str,
    task_type: str,
    mode: str,
    model: str | None,
    ids: IdSource,
    now: datetime,
) -> None:
    """Set how a task type is routed; its counters start again.

    Raises:
        InvalidValue: Unknown mode, or a mode that needs a model without one.
    """
    if mode not in MODES:
        raise InvalidValue("mode", mode, f"give one of {', '.join(MODES)}")
    if mode != "learned" and not model:
        raise InvalidValue("model", model, f"mode {mode!r} needs a model or a family of models")
    _ensure(connection, kind, tenant, [task_type], ids, now)
    connection.execute(
        update(table)
        .where(table.c.tenant == tenant, table.c.task_type == task_type)
        .values(
            mode=mode,
            current_model=model,
            consecutive_low_scores=0,
            consecutive_high_scores=0,
            promotion_flag=False,
            demotion_review=False,
            updated_at=now,
        )
    )


def count_scores(
    connection: Connection,
    kind: str,
    scored: Sequence[Scored],
    preferred: Mapping[tuple[str, str, str], str],
    configuration: Configuration,
    *,
    ids: IdSource,
    now: datetime,
) -> None:
    """Keep the consecutive low and high scores of each row's current model.

    Args:
        connection: A write transaction.
        kind: The kind of database.
        scored: What was scored; only first scores count.
        preferred: (tenant, agent, task type) → the model that learning prefers now, for rows in mode `learned`.
        configuration: Holds what is low and what is high.
        ids: Makes the ids of new rows.
        now: The time.
    """
    fresh = [item for item in scored if item.first and item.quality is not None and item.model is not None]
    for tenant in sorted({item.run.tenant for item in fresh}):
        types = sorted({item.run.task_type for item in fresh if item.run.tenant == tenant})
        _ensure(connection, kind, tenant, types, ids, now)
        query = select(table).where(table.c.tenant == tenant, table.c.task_type.in_(types)).order_by(table.c.task_type)
        rows = {
            row["task_type"]: to_record(row, Routing) for row in connection.execute(query.with_for_update()).mappings()
        }
        before = dict(rows)
        for item in fresh:
            if item.run.tenant == tenant:
                key = (tenant, item.run.agent, item.run.task_type)
                rows[item.run.task_type] = _counted(rows[item.run.task_type], item, preferred.get(key), configuration)
        _store(connection, tenant, [row for name, row in rows.items() if row != before[name]], now)


def _store(connection: Connection, tenant: str, rows: Sequence[Routing], now: datetime) -> None:
    if not rows:
        return
    names = [name for name in Routing.__struct_fields__ if name != "task_type"]
    query = update(table).where(table.c.tenant == tenant, table.c.task_type == bindparam("of_type"))
    values: dict[str, object] = {name: bindparam(f"new_{name}") for name in names}
    connection.execute(
        query.values({**values, "updated_at": now}),
        [{"of_type": row.task_type, **{f"new_{name}": getattr(row, name) for name in names}} for row in rows],
    )


def _ensure(connection: Connection, kind: str, tenant: str, types: Sequence[str], ids: IdSource, now: datetime) -> None:
    rows = [
        (ids(), now, tenant, name, _first_mode(name), SEEDS.get(name), 0, 0, False, False, "not_started", now)
        for name in types
    ]
    inserter(table, kind)(connection, rows)


def _first_mode(task_type: str) -> str:
    return "start" if task_type in SEEDS else "learned"


def _counted(row: Routing, item: Scored, preferred: str | None, configuration: Configuration) -> Routing:
    current = (preferred or row.current_model or item.model) if row.mode == "learned" else row.current_model
    if current != row.current_model:
        row = Routing(
            task_type=row.task_type, mode=row.mode, current_model=current, distillation_status=row.distillation_status
        )
    if item.model is None or item.quality is None or row.resolve([item.model]) != item.model:
        return row
    low_below = configuration.number("route.low_score", item.run.tenant, item.run.agent) or 0.0
    high_from = configuration.number("route.high_score", item.run.tenant, item.run.agent) or 1.0
    low = row.consecutive_low_scores + 1 if item.quality < low_below else 0
    high = row.consecutive_high_scores + 1 if item.quality >= high_from else 0
    return msgspec.structs.replace(
        row,
        consecutive_low_scores=low,
        consecutive_high_scores=high,
        promotion_flag=low >= FLAG_AFTER or (row.promotion_flag and high == 0),
        demotion_review=high >= FLAG_AFTER or (row.demotion_review and low == 0),
    )
