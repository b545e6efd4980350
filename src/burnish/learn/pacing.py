"""Keep the mean cost of an agent's runs at its budget, and count what it spends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select, update

from burnish.capture.ledger import to_record
from burnish.govern.configuration import Configuration
from burnish.ids import IdSource
from burnish.score.scoring import Scored
from burnish.stats import pacer
from burnish.store.rows import inserter
from burnish.store.schema.learn import spend_pacing


class Spend(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent has spent, in USD, and where its pacer stands (counted in budgets; see `stats.pacer`)."""

    tenant: str
    agent: str
    runs: int = 0
    spent_usd: float = 0.0
    month: str = ""
    month_spent_usd: float = 0.0
    smoothed: float | None = None
    price: float = pacer.START_PRICE
    debt: float = 0.0

    def spent_in(self, month: str) -> float:
        """Return the spend of a month given as YYYY-MM."""
        return self.month_spent_usd if self.month == month else 0.0


def add(
    connection: Connection,
    kind: str,
    scored: Sequence[Scored],
    configuration: Configuration,
    *,
    ids: IdSource,
    now: datetime,
) -> None:
    """Add the costs of new runs, in order, and move the price of cost where a budget is set."""
    fresh = [item for item in scored if item.first and item.run.cost_usd is not None]
    for tenant, agent in sorted({(item.run.tenant, item.run.agent) for item in fresh}):
        costs = [item.run.cost_usd or 0.0 for item in fresh if (item.run.tenant, item.run.agent) == (tenant, agent)]
        row = (ids(), now, tenant, agent, now, 0, 0.0, "", 0.0, None, pacer.START_PRICE, 0.0)
        inserter(spend_pacing, kind)(connection, [row])
        before = spend_of(connection, tenant, agent, lock=True)
        budget = configuration.number("route.budget_usd_per_run", tenant, agent)
        after = _spent(before, costs, budget, f"{now:%Y-%m}")
        table = spend_pacing
        connection.execute(
            update(table)
            .where(table.c.tenant == tenant, table.c.agent == agent)
            .values(
                updated_at=now,
                runs=after.runs,
                spent_usd=after.spent_usd,
                month=after.month,
                month_spent_usd=after.month_spent_usd,
                smoothed_cost=after.smoothed,
                price_of_cost=after.price,
                debt=after.debt,
            )
        )


def spend_of(connection: Connection, tenant: str, agent: str, *, lock: bool = False) -> Spend:
    """Return what an agent has spent; zeros when it never ran."""
    table = spend_pacing
    query = select(table).where(table.c.tenant == tenant, table.c.agent == agent)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        return Spend(tenant=tenant, agent=agent)
    return to_record({**row, "smoothed": row["smoothed_cost"], "price": row["price_of_cost"]}, Spend)


def _spent(before: Spend, costs: Sequence[float], budget: float | None, month: str) -> Spend:
    state = pacer.PacerState(before.smoothed, before.price, before.debt)
    for cost in costs:
        if budget is not None:
            state = pacer.step(state, cost=cost, target=budget)
    total = sum(costs)
    return msgspec.structs.replace(
        before,
        runs=before.runs + len(costs),
        spent_usd=before.spent_usd + total,
        month=month,
        month_spent_usd=before.spent_in(month) + total,
        smoothed=state.spend,
        price=state.price,
        debt=state.debt,
    )
