"""The SQL of capture: write bundles, read runs back.

Writing is idempotent: a bundle that comes twice (a retry, a spool drained by two processes) changes nothing the second
time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, RowMapping, Table, select

from burnish.capture.records import (
    Bundle,
    CallRecord,
    DecisionRecord,
    GateRecord,
    RunRecord,
    SignalRecord,
)
from burnish.store.rows import inserter
from burnish.store.schema import capture as tables
from burnish.store.schema.score import gates

CHUNK = 500
Record = TypeVar("Record", bound=msgspec.Struct)
PARTS: tuple[tuple[str, Table], ...] = (
    ("calls", tables.calls),
    ("decisions", tables.decisions),
    ("gates", gates),
    ("signals", tables.outcome_signals),
    ("pool_events", tables.pool_events),
)


class Arrived(msgspec.Struct, frozen=True):
    """What a batch brought: runs that are new, and runs already in the ledger that got late evidence."""

    new: Sequence[Bundle]
    late: Sequence[str]


def write(connection: Connection, kind: str, bundles: Sequence[Bundle]) -> Arrived:
    """Write the bundles as they are; what is already there stays as it is."""
    arrived = write_parts(connection, kind, bundles)
    write_runs(connection, kind, [bundle.run for bundle in arrived.new if bundle.run is not None])
    return arrived


def write_parts(connection: Connection, kind: str, bundles: Sequence[Bundle]) -> Arrived:
    """Write everything but the runs themselves, which the caller adds once they are scored."""
    known = existing(connection, [b.run.id for b in bundles if b.run is not None])
    fresh = list({b.run.id: b for b in bundles if b.run is not None and b.run.id not in known}.values())
    loose = [b for b in bundles if b.run is None]
    conversations = [msgspec.structs.astuple(b.conversation) for b in fresh if b.conversation is not None]
    inserter(tables.conversations, kind)(connection, conversations)
    for part, table in PARTS:
        rows = [msgspec.structs.astuple(record) for b in (*fresh, *loose) for record in getattr(b, part)]
        inserter(table, kind)(connection, rows)
    touched = {signal.run_id for b in loose for signal in b.signals}
    arriving = {b.run.id for b in fresh if b.run is not None}
    return Arrived(fresh, sorted(existing(connection, sorted(touched - arriving))))


def write_runs(connection: Connection, kind: str, runs: Sequence[RunRecord]) -> None:
    """Add runs; those already there stay as they are."""
    inserter(tables.runs, kind)(connection, [msgspec.structs.astuple(run) for run in runs])


def existing(connection: Connection, run_ids: Sequence[str]) -> set[str]:
    """Return those of the ids that the ledger has a run for."""
    runs = tables.runs
    found: set[str] = set()
    for chunk in chunks(run_ids):
        found.update(connection.scalars(select(runs.c.id).where(runs.c.id.in_(chunk))))
    return found


def runs_by_id(connection: Connection, run_ids: Sequence[str]) -> dict[str, RunRecord]:
    """Return the runs that exist, by id."""
    return {run.id: run for run in _by_ids(connection, tables.runs, "id", run_ids, RunRecord)}


def signals_of(connection: Connection, run_ids: Sequence[str]) -> list[SignalRecord]:
    """Return the signals of these runs, oldest first."""
    return _by_ids(connection, tables.outcome_signals, "run_id", run_ids, SignalRecord)


def gates_of(connection: Connection, run_ids: Sequence[str]) -> list[GateRecord]:
    """Return the gates of these runs, oldest first."""
    return _by_ids(connection, gates, "run_id", run_ids, GateRecord)


def calls_of(connection: Connection, run_ids: Sequence[str]) -> list[CallRecord]:
    """Return the calls of these runs, oldest first."""
    return _by_ids(connection, tables.calls, "run_id", run_ids, CallRecord)


def decisions_of(connection: Connection, run_ids: Sequence[str]) -> list[DecisionRecord]:
    """Return the decisions of these runs, oldest first."""
    return _by_ids(connection, tables.decisions, "run_id", run_ids, DecisionRecord)


def list_runs(
    connection: Connection,
    *,
    tenant: str,
    agent: str | None = None,
    task_type: str | None = None,
    before: str | None = None,
    limit: int = 20,
) -> list[RunRecord]:
    """Return the newest runs first; `before` is the id of the last run of the page before."""
    runs = tables.runs
    query = select(runs).where(runs.c.tenant == tenant)
    if agent is not None:
        query = query.where(runs.c.agent == agent)
    if task_type is not None:
        query = query.where(runs.c.task_type == task_type)
    if before is not None:
        query = query.where(runs.c.id < before)
    rows = connection.execute(query.order_by(runs.c.id.desc()).limit(limit)).mappings()
    return [to_record(row, RunRecord) for row in rows]


def children_of(connection: Connection, run_id: str) -> list[str]:
    """Return the ids of the runs that were opened inside this one, oldest first."""
    runs = tables.runs
    return list(connection.scalars(select(runs.c.id).where(runs.c.parent_id == run_id).order_by(runs.c.id)))


def recent_features(connection: Connection, tenant: str, agent: str, limit: int) -> list[dict[str, object]]:
    """Return task type and features of an agent's newest runs, oldest of them first."""
    runs = tables.runs
    query = select(runs.c.task_type, runs.c.features).where(runs.c.tenant == tenant, runs.c.agent == agent)
    rows = connection.execute(query.order_by(runs.c.started_at.desc()).limit(limit)).all()
    return [{"task_type": task_type, **features} for task_type, features in reversed(rows)]


def find_runs(connection: Connection, prefix: str, *, tenant: str) -> list[RunRecord]:
    """Return the runs of a tenant whose id starts with `prefix`, at most two: enough to tell one from several."""
    runs = tables.runs
    query = select(runs).where(runs.c.id >= prefix, runs.c.id <= prefix + "g", runs.c.tenant == tenant).limit(2)
    return [to_record(row, RunRecord) for row in connection.execute(query).mappings()]


def to_record(row: Mapping[str, object] | RowMapping, record: type[Record]) -> Record:
    """Return a row as its record."""
    plain = {str(name): value for name, value in row.items()}  # SQLAlchemy's names are a subclass of str
    return msgspec.convert(plain, record, strict=False)


def chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    """Split into pieces that fit the parameter limits of every database."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def _by_ids(
    connection: Connection, table: Table, column: str, run_ids: Iterable[str], record: type[Record]
) -> list[Record]:
    found: list[Record] = []
    for chunk in chunks(list(run_ids)):
        rows = connection.execute(select(table).where(table.c[column].in_(chunk)).order_by(table.c.id)).mappings()
        found.extend(to_record(row, record) for row in rows)
    return found
