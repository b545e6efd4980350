"""Which model does how well at what: additive counters per tenant, agent, task type, model and epoch.

An epoch of a model ends with a drift alarm; what was learned before then counts little afterwards. A run is credited to
the epoch in which its model was chosen, however late its score arrives.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, select

from burnish.capture.ledger import to_record
from burnish.capture.records import CallRecord
from burnish.ids import IdSource
from burnish.score.scoring import TRANSPORT, Scored
from burnish.store.rows import accumulator
from burnish.store.schema.learn import fallback_performance, model_performance

Cell = tuple[str, str, str, str, int]
"""(tenant, agent, task type, model, epoch)"""


class Sums(msgspec.Struct):
    """What is added to one cell."""

    n_quality: int = 0
    sum_quality: float = 0.0
    sum_quality_sq: float = 0.0
    n_cost: int = 0
    sum_cost: float = 0.0
    n_latency: int = 0
    sum_latency: float = 0.0
    n_rating: int = 0
    sum_rating: float = 0.0
    transport_failures: int = 0

    def quality(self, value: float | None, sign: int = 1) -> None:
        """Add (or take back) one observed quality."""
        if value is not None:
            self.n_quality += sign
            self.sum_quality += sign * value
            self.sum_quality_sq += sign * value * value


class CellRow(msgspec.Struct, frozen=True):
    """One cell as stored."""

    tenant: str
    agent: str
    task_type: str
    model: str
    epoch: int
    n_quality: int
    sum_quality: float
    sum_quality_sq: float
    n_cost: int
    sum_cost: float
    n_latency: int
    sum_latency: float
    n_rating: int
    sum_rating: float
    transport_failures: int


class FallbackRow(msgspec.Struct, frozen=True):
    """How often one model succeeded where another had just failed."""

    task_type: str
    failed_model: str
    failure_kind: str
    next_model: str
    trials: int
    successes: float


def add(connection: Connection, kind: str, scored: Sequence[Scored], *, ids: IdSource, now: datetime) -> None:
    """Add what these runs teach; for a run scored before, only the difference."""
    cells: dict[Cell, Sums] = defaultdict(Sums)
    pairs: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for item in scored:
        _add_run(cells, item)
        _add_pairs(pairs, item)
    rows = [(ids(), now, *cell, *msgspec.structs.astuple(sums)) for cell, sums in cells.items()]
    accumulator(model_performance, kind)(connection, rows)
    accumulator(fallback_performance, kind)(
        connection, [(ids(), now, *key, int(trials), successes) for key, (trials, successes) in pairs.items()]
    )


def cells_of(connection: Connection, tenant: str, agent: str) -> list[CellRow]:
    """Return every cell of one agent."""
    table = model_performance
    query = (
        select(table).where(table.c.tenant == tenant, table.c.agent == agent).order_by(table.c.task_type, table.c.model)
    )
    return [to_record(row, CellRow) for row in connection.execute(query).mappings()]


def fallbacks_of(connection: Connection, tenant: str, agent: str) -> list[FallbackRow]:
    """Return every fallback pair of one agent."""
    table = fallback_performance
    query = select(table).where(table.c.tenant == tenant, table.c.agent == agent).order_by(table.c.id)
    return [to_record(row, FallbackRow) for row in connection.execute(query).mappings()]


Watermark = tuple[float, ...]
NOTHING: Watermark = (0.0,) * 6


def watermarks(connection: Connection, scope: tuple[str, str] | None = None) -> dict[tuple[str, str], Watermark]:
    """Return, by (tenant, agent), sums that move whenever anything is learned of the agent."""
    table = model_performance
    names = ("n_quality", "sum_quality", "n_cost", "n_latency", "n_rating", "transport_failures")
    query = select(table.c.tenant, table.c.agent, *(func.sum(table.c[name]) for name in names))
    if scope is not None:
        query = query.where(table.c.tenant == scope[0], table.c.agent == scope[1])
    rows = connection.execute(query.group_by(table.c.tenant, table.c.agent))
    return {(row[0], row[1]): tuple(float(value) for value in row[2:]) for row in rows}


def agents_of(connection: Connection, tenant: str) -> list[str]:
    """Return the agents that anything was learned for."""
    table = model_performance
    query = select(table.c.agent).where(table.c.tenant == tenant).distinct().order_by(table.c.agent)
    return list(connection.scalars(query))


def _add_run(cells: dict[Cell, Sums], item: Scored) -> None:
    run = item.run
    if item.model is None:
        return
    for quality, sign in ((item.quality, 1), (item.quality_before, -1)):
        credited = item.credited(quality) if sign == 1 or not item.first else None
        if credited is not None:
            model, epoch, value = credited
            cells[run.tenant, run.agent, run.task_type, model, epoch].quality(value, sign)
    _add_rating(cells[run.tenant, run.agent, run.task_type, item.model, item.epoch], item)
    if not item.first:
        return
    for attempt, model, epoch in _attempts(item):
        sums = cells[run.tenant, run.agent, run.task_type, model, epoch]
        _add_calls(sums, [call for call in item.calls if call.attempt == attempt], whole=item if attempt < 0 else None)
    for decision in item.decisions:
        if decision.failure_kind in TRANSPORT:
            cells[run.tenant, run.agent, run.task_type, decision.model, decision.epoch].transport_failures += 1


def _attempts(item: Scored) -> list[tuple[int, str, int]]:
    """Return (attempt, model, epoch); attempt −1 stands for the whole of a run without decisions."""
    if item.model is None:
        return []
    if not item.decisions:
        return [(-1, item.model, item.epoch)]
    failed = [(decision.attempt, decision.model, decision.epoch) for decision in item.decisions[:-1]]
    return [*failed, (item.decisions[-1].attempt, item.model, item.epoch)]


def _add_calls(sums: Sums, calls: Sequence[CallRecord], *, whole: Scored | None) -> None:
    if whole is not None:
        cost: float | None = whole.run.cost_usd
        latency: float | None = whole.run.duration_s
    else:
        costs = [call.cost_usd for call in calls if call.cost_usd is not None]
        latencies = [call.latency_s for call in calls if call.latency_s is not None]
        cost = math.fsum(costs) if costs else None
        latency = math.fsum(latencies) if latencies else None
    if cost is not None:
        sums.n_cost += 1
        sums.sum_cost += cost
    if latency is not None:
        sums.n_latency += 1
        sums.sum_latency += latency


def _add_rating(sums: Sums, item: Scored) -> None:
    now = item.evidence.user_rating
    before = item.before.user_rating if item.before is not None else None
    if now is not None:
        sums.n_rating += 1
        sums.sum_rating += now
    if before is not None:
        sums.n_rating -= 1
        sums.sum_rating -= before


def _add_pairs(pairs: dict[tuple[str, ...], list[float]], item: Scored) -> None:
    """Credit each attempt after the first to the pair (what failed before it, how, who was next)."""
    run = item.run
    for failed, following in zip(item.decisions, item.decisions[1:], strict=False):
        key = (run.tenant, run.agent, run.task_type, failed.model, failed.failure_kind or "quality", following.model)
        last = following is item.decisions[-1]
        if last:
            reached = (
                following.failure_kind not in TRANSPORT
            )  # an attempt that never arrived is no trial, unless solved
            now = item.quality if reached or item.quality else None
            before = item.quality_before if reached or item.quality_before else None
            pairs[key][0] += (now is not None) - (before is not None)
            pairs[key][1] += (now or 0.0) - (before or 0.0)
        elif item.first and following.failure_kind not in TRANSPORT:
            pairs[key][0] += 1
