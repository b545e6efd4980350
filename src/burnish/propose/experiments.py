"""The registry of experiments: how each policy was made, what that cost, and what it was worth.

An experiment is begun before its work and ended after it, in two transactions, so that work that dies leaves a trace.
It ends once: finished with losses before and after, or failed with a reason.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, RowMapping, Select, case, func, select, update

from burnish.capture.checks import name as checked_name, number, text
from burnish.capture.ledger import to_record
from burnish.curate.canonical import storable
from burnish.errors import InvalidValue, NotFound
from burnish.ids import IdSource
from burnish.store.rows import inserter
from burnish.store.schema.propose import experiments as table

KINDS = ("prompt_synthesis", "adapter_training", "tool_tuning", "rag_optimization")
STATUSES = ("running", "finished", "failed")
NOTE_CHARS = 2_000
DIGEST_CHARS = 71


class SeedResult(msgspec.Struct, frozen=True):
    """What one random seed of an experiment gave: mean losses in [0, 1]."""

    seed: int
    before: float
    after: float


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """One experiment, fields in the order of the table's columns."""

    id: str
    created_at: datetime
    tenant: str
    agent: str
    task_type: str
    kind: str
    status: str
    configuration: Mapping[str, object]
    policy: str | None
    """Digest of the policy it made, if it made one."""
    loss_before: float | None
    loss_after: float | None
    loss_delta: float | None
    """After − before; negative is better."""
    stability: float | None
    """Standard deviation of the differences of its seeds; None with fewer than two."""
    seeds: Sequence[SeedResult]
    cost_usd: float
    duration_s: float
    note: str | None
    updated_at: datetime


class SuccessRate(msgspec.Struct, frozen=True, kw_only=True):
    """How experiments of one kind end. Success is to finish with a lower loss."""

    kind: str
    running: int
    finished: int
    failed: int
    improved: int
    rate: float | None
    """Those that improved, of those that ended; None while none has."""
    mean_delta: float | None
    """Mean difference in loss of those that finished."""
    cost_usd: float


def begin(
    connection: Connection,
    kind: str,
    *,
    tenant: str,
    agent: str,
    task_type: str = "",
    configuration: Mapping[str, object] | None = None,
    ids: IdSource,
    now: datetime,
) -> str:
    """Register an experiment that is about to run, and return its id.

    Raises:
        InvalidValue: There is no such kind, a name is empty, or the configuration is not JSON.
    """
    if kind not in KINDS:
        raise InvalidValue("kind", kind, f"give one of {', '.join(KINDS)}")
    chosen = dict(configuration or {})
    storable("configuration", chosen)
    row = Experiment(
        id=ids(),
        created_at=now,
        tenant=checked_name("tenant", tenant),
        agent=checked_name("agent", agent),
        task_type=checked_name("task_type", task_type) if task_type else "",
        kind=kind,
        status="running",
        configuration=chosen,
        policy=None,
        loss_before=None,
        loss_after=None,
        loss_delta=None,
        stability=None,
        seeds=[],
        cost_usd=0.0,
        duration_s=0.0,
        note=None,
        updated_at=now,
    )
    inserter(table, connection.dialect.name)(connection, [msgspec.structs.astuple(row)])
    return row.id


def finish(
    connection: Connection,
    experiment: str,
    *,
    tenant: str,
    policy: str | None,
    loss_before: float,
    loss_after: float,
    seeds: Sequence[SeedResult] = (),
    cost_usd: float = 0.0,
    duration_s: float = 0.0,
    note: str | None = None,
    now: datetime,
) -> Experiment:
    """End an experiment that gave a result, good or bad.

    Args:
        connection: A write transaction.
        experiment: Its id.
        tenant: Whose it is.
        policy: Digest of the policy it made; None when nothing was worth keeping.
        loss_before: Mean loss of what it started from, in [0, 1].
        loss_after: Mean loss of what it made, on the same items.
        seeds: Both losses of each random seed; their differences give the stability.
        cost_usd: What it cost.
        duration_s: How long it ran.
        note: Anything worth knowing, in words.
        now: The time.

    Raises:
        InvalidValue: A loss is out of range, a seed comes twice, or the experiment has ended already.
        NotFound: There is no such experiment.
    """
    before, after = number("loss_before", loss_before, 0.0, 1.0), number("loss_after", loss_after, 0.0, 1.0)
    if policy is not None and not 0 < len(policy) <= DIGEST_CHARS:
        raise InvalidValue("policy", policy, "give the digest of a policy, or None when none was made")
    results = [_checked(result) for result in seeds]
    if len({result.seed for result in results}) < len(results):
        raise InvalidValue("seeds", [result.seed for result in results], "give each seed once")
    values = {
        "status": "finished",
        "policy": policy,
        "loss_before": before,
        "loss_after": after,
        "loss_delta": after - before,
        "stability": stability(results),
        "seeds": msgspec.to_builtins(results),
        **_ended(cost_usd, duration_s, note, now),
    }
    return _end(connection, experiment, tenant, values)


def fail(
    connection: Connection,
    experiment: str,
    *,
    tenant: str,
    note: str,
    cost_usd: float = 0.0,
    duration_s: float = 0.0,
    now: datetime,
) -> Experiment:
    """End an experiment that gave no result; the note says why.

    Raises:
        InvalidValue: It has ended already.
        NotFound: There is no such experiment.
    """
    return _end(connection, experiment, tenant, {"status": "failed", **_ended(cost_usd, duration_s, note, now)})


def fail_abandoned(connection: Connection, *, tenant: str, begun_before: datetime, now: datetime) -> int:
    """End the experiments whose process died without a word: those still running that began too long ago.

    Returns:
        How many there were.
    """
    stale = (table.c.tenant == tenant) & (table.c.status == "running") & (table.c.created_at < begun_before)
    note = "it never reported back: its process ended, or still hangs"
    changed = update(table).where(stale).values(status="failed", note=note, updated_at=now)
    return connection.execute(changed).rowcount


def stability(seeds: Sequence[SeedResult]) -> float | None:
    """Return the sample standard deviation of the seeds' differences in loss, or None with fewer than two seeds."""
    deltas = [result.after - result.before for result in seeds]
    return statistics.stdev(deltas) if len(deltas) > 1 else None


def get(connection: Connection, experiment: str, *, tenant: str) -> Experiment:
    """Return an experiment by its id.

    Raises:
        NotFound: The tenant has no such experiment.
    """
    query = select(table).where(table.c.id == experiment, table.c.tenant == tenant)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound("experiment", experiment, f"tenant {tenant}")
    return to_record(row, Experiment)


def list_experiments(
    connection: Connection,
    *,
    tenant: str,
    agent: str | None = None,
    kind: str | None = None,
    status: str | None = None,
    before: str | None = None,
    limit: int = 50,
) -> list[Experiment]:
    """Return the newest experiments first; `before` continues after the last id of a page."""
    query = _of(select(table), tenant, agent)
    for column, wanted in ((table.c.kind, kind), (table.c.status, status)):
        query = query if wanted is None else query.where(column == wanted)
    if before is not None:
        query = query.where(table.c.id < before)
    rows = connection.execute(query.order_by(table.c.id.desc()).limit(limit)).mappings()
    return [to_record(row, Experiment) for row in rows]


def success_rates(connection: Connection, *, tenant: str, agent: str | None = None) -> list[SuccessRate]:
    """Return how the experiments of each kind ended, for every kind that was ever begun."""
    status, delta = table.c.status, table.c.loss_delta
    counts = [func.coalesce(func.sum(case((status == name, 1), else_=0)), 0).label(name) for name in STATUSES]
    better = func.coalesce(func.sum(case(((status == "finished") & (delta < 0), 1), else_=0)), 0).label("improved")
    sums = (func.avg(delta).label("mean_delta"), func.sum(table.c.cost_usd).label("cost_usd"))
    query = _of(select(table.c.kind, *counts, better, *sums), tenant, agent).group_by(table.c.kind)
    return [_rate(row) for row in connection.execute(query.order_by(table.c.kind)).mappings()]


def _rate(row: RowMapping) -> SuccessRate:
    ended = int(row["finished"]) + int(row["failed"])
    rate = int(row["improved"]) / ended if ended else None
    return to_record({**row, "rate": rate}, SuccessRate)


def _of(query: Select[tuple[object, ...]], tenant: str, agent: str | None) -> Select[tuple[object, ...]]:
    mine = query.where(table.c.tenant == tenant)
    return mine if agent is None else mine.where(table.c.agent == agent)


def _checked(result: SeedResult) -> SeedResult:
    return SeedResult(
        int(result.seed),
        number(f"seeds[{result.seed}].before", result.before, 0.0, 1.0),
        number(f"seeds[{result.seed}].after", result.after, 0.0, 1.0),
    )


def _ended(cost_usd: float, duration_s: float, note: str | None, now: datetime) -> dict[str, object]:
    return {
        "cost_usd": number("cost_usd", cost_usd),
        "duration_s": number("duration_s", duration_s),
        "note": None if note is None else text("note", note, NOTE_CHARS),
        "updated_at": now,
    }


def _end(connection: Connection, experiment: str, tenant: str, values: Mapping[str, object]) -> Experiment:
    """Write how an experiment ended, if it runs; of two that try at once, the second is told so."""
    running = (table.c.id == experiment) & (table.c.tenant == tenant) & (table.c.status == "running")
    done = connection.execute(update(table).where(running).values(values)).rowcount
    found = get(connection, experiment, tenant=tenant)
    if not done:
        raise InvalidValue("experiment", experiment, f"it has {found.status} already: begin another one")
    return found
