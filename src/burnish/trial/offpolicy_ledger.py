"""The SQL of off-policy evaluation: first decisions with what came of them, streamed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec
from sqlalchemy import Connection, Row, Select, select

from burnish.errors import InvalidValue
from burnish.store.schema.capture import decisions, runs
from burnish.trial.offpolicy_record import LoggedOutcome, LoggedRun

MOST_RUNS = 1_000_000
AT_ONCE = 1_000
"""Rows in memory at a time."""

ROUNDING = 1e-6


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A run whose logged probabilities are not whole: the chosen model has none, or they do not sum to 1."""

    run_id: str


class _Candidate(msgspec.Struct, frozen=True):
    model: str
    probability: float
    excluded: str | None = None


def off_policy_rows(
    connection: Connection,
    *,
    tenant: str,
    agent: str,
    task_type: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = MOST_RUNS,
) -> Iterator[LoggedOutcome | Unreadable]:
    """Yield the newest runs that a decision was made for, newest first, whether scored or not.

    Only the first attempt is read: a fallback is chosen because of what happened in the run. The outcome is that of
    the whole run, fallbacks included, for that is what choosing the first model led to.

    Args:
        connection: A read transaction; rows are fetched as they are asked for.
        tenant: Whose runs.
        agent: The agent that ran.
        task_type: One task type; all when None.
        since: Start of the window, included; aware.
        until: End of the window, excluded; aware.
        limit: Most runs.

    Raises:
        InvalidValue: `since` or `until` has no time zone.
    """
    query = _window(tenant, agent, task_type, since, until).limit(limit)
    for row in connection.execute(query, execution_options={"yield_per": AT_ONCE}):
        yield _outcome(row) or Unreadable(run_id=row.id)


def _window(
    tenant: str, agent: str, task_type: str | None, since: datetime | None, until: datetime | None
) -> Select[tuple[object, ...]]:
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise InvalidValue(name, moment, "give a time with its zone, such as datetime.now(tz=UTC)")
    columns = [runs.c[name] for name in ("id", "task_type", "features", "started_at", "loss", "cost_usd", "duration_s")]
    query: Select[tuple[object, ...]] = (
        select(*columns, runs.c.tenant, runs.c.agent, decisions.c.model, decisions.c.rule, decisions.c.candidates)
        .join_from(runs, decisions, (decisions.c.run_id == runs.c.id) & (decisions.c.attempt == 0))
        .where(runs.c.tenant == tenant, runs.c.agent == agent, decisions.c.tenant == tenant)
        .order_by(runs.c.started_at.desc(), runs.c.id.desc())
    )
    if task_type is not None:
        query = query.where(runs.c.task_type == task_type)
    if since is not None:
        query = query.where(runs.c.started_at >= since)
    return query if until is None else query.where(runs.c.started_at < until)


def _outcome(row: Row[tuple[object, ...]]) -> LoggedOutcome | None:
    """Return a row as it is evaluated, or None when what its decision logged is not whole."""
    found = _candidates(row.candidates)
    probabilities = {each.model: each.probability for each in found if each.excluded is None}
    if len(found) != len({each.model for each in found}) or not _whole(probabilities, row.model):
        return None
    return LoggedOutcome(
        run=LoggedRun(
            id=row.id,
            tenant=row.tenant,
            agent=row.agent,
            task_type=row.task_type,
            features=row.features,
            started_at=row.started_at,
            rule=row.rule,
            probabilities=probabilities,
            excluded=[each.model for each in found if each.excluded is not None],
        ),
        model=row.model,
        loss=row.loss,
        cost_usd=row.cost_usd,
        duration_s=row.duration_s,
    )


def _candidates(logged: object) -> list[_Candidate]:
    try:
        return msgspec.convert(logged, list[_Candidate])
    except msgspec.ValidationError:
        return []


def _whole(probabilities: Mapping[str, float], chosen: str) -> bool:
    """Tell whether eligible models' probabilities sum to 1 and the chosen one could be chosen."""
    return (
        probabilities.get(chosen, 0.0) > 0.0
        and min(probabilities.values()) >= 0.0
        and abs(math.fsum(probabilities.values()) - 1.0) < ROUNDING
    )
