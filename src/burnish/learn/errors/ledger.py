"""Error patterns in the store: one row a (tenant, project, key), counters that only ever add.

Every change of a row raises its `version`, so (rows, Σ version) of a tenant changes exactly when something did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from burnish.ids import IdSource
from burnish.learn.errors.pattern import PRUNE_FAILURES, PRUNE_SUCCESS, ErrorPattern
from burnish.store.schema.learn import error_patterns as table

CHUNK = 500
_FIELDS = tuple(name for name in ErrorPattern.__struct_fields__ if name != "projects")


def totals(connection: Connection, tenant: str) -> tuple[int, int]:
    """Return (rows, Σ version) of a tenant."""
    query = select(func.count(), func.coalesce(func.sum(table.c.version), 0)).where(table.c.tenant == tenant)
    count, versions = connection.execute(query).one()
    return int(count), int(versions)


def versions(connection: Connection, tenant: str) -> dict[str, int]:
    """Return the version of every row of a tenant."""
    rows = connection.execute(select(table.c.id, table.c.version).where(table.c.tenant == tenant))
    return {row[0]: row[1] for row in rows}


def load(connection: Connection, tenant: str, ids: Sequence[str] | None = None) -> list[ErrorPattern]:
    """Read the rows of a tenant: all, or those of these ids."""
    query = select(*(table.c[name] for name in _FIELDS)).where(table.c.tenant == tenant)
    if ids is None:
        return [_pattern(row) for row in connection.execute(query).mappings()]
    found: list[ErrorPattern] = []
    for start in range(0, len(ids), CHUNK):
        chunk = query.where(table.c.id.in_(ids[start : start + CHUNK]))
        found += [_pattern(row) for row in connection.execute(chunk).mappings()]
    return found


def by_key(connection: Connection, tenant: str, project: str | None, key: str) -> ErrorPattern | None:
    """Read one row by what makes it unique."""
    query = select(*(table.c[name] for name in _FIELDS)).where(
        table.c.tenant == tenant, table.c.project == (project or ""), table.c.key == key
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else _pattern(row)


def by_id(connection: Connection, tenant: str, pattern_id: str) -> ErrorPattern | None:
    """Read one row by its id; its key may have changed since, when an example widened it."""
    return next(iter(load(connection, tenant, [pattern_id])), None)


def add(
    connection: Connection,
    kind: str,
    pattern: ErrorPattern,
    *,
    now: datetime,
    learned: int = 0,
    successes: int = 0,
    failures: int = 0,
) -> None:
    """Write a pattern, or add these counts to the row that has its tenant, project and key."""
    values = {name: getattr(pattern, name) for name in _FIELDS}
    values |= {"project": pattern.project or "", "file_pattern": pattern.file_pattern or ""}
    values |= {"learned": learned, "successes": successes, "failures": failures, "version": 1}
    values |= {"created_at": now, "updated_at": now, "last_matched_at": now if successes + failures else None}
    insert = (postgresql if kind == "postgresql" else sqlite).insert(table).values(values)
    counts = {name: table.c[name] + insert.excluded[name] for name in ("learned", "successes", "failures")}
    changed = {**counts, "version": table.c.version + 1, "updated_at": now}
    if successes + failures:
        changed["last_matched_at"] = now
    connection.execute(insert.on_conflict_do_update(index_elements=["tenant", "project", "key"], set_=changed))


def count(
    connection: Connection, tenant: str, pattern_id: str, *, now: datetime, learned: int = 0, worked: bool | None = None
) -> bool:
    """Add to the counters of one row; False when there is none."""
    changed: dict[str, Any] = {"version": table.c.version + 1, "updated_at": now}
    if learned:
        changed["learned"] = table.c.learned + learned
    if worked is not None:
        name = "successes" if worked else "failures"
        changed |= {name: table.c[name] + 1, "last_matched_at": now}
    done = connection.execute(update(table).where(table.c.tenant == tenant, table.c.id == pattern_id).values(**changed))
    return done.rowcount > 0


def widen(connection: Connection, before: ErrorPattern, after: ErrorPattern, *, now: datetime) -> bool:
    """Give a row a wider template, unless it changed since it was read or the wider one exists already."""
    if by_key(connection, before.tenant, before.project, after.key) is not None:
        return False
    change = (
        update(table)
        .where(table.c.id == before.id, table.c.version == before.version)
        .values(
            name=after.name,
            key=after.key,
            template=after.template,
            shape=after.shape,
            literal=after.literal,
            fix_template=after.fix_template,
            learned=table.c.learned + 1,
            version=table.c.version + 1,
            updated_at=now,
        )
    )
    try:
        with connection.begin_nested():
            return connection.execute(change).rowcount > 0
    except IntegrityError:  # another process made the same wider pattern meanwhile
        return False


def prune(
    connection: Connection,
    tenant: str,
    *,
    now: datetime,
    failures: int = PRUNE_FAILURES,
    success: float = PRUNE_SUCCESS,
) -> int:
    """Retire learned patterns that failed at least so often and worked in less than this share of their uses."""
    uses = table.c.successes + table.c.failures
    done = connection.execute(
        update(table)
        .where(
            table.c.tenant == tenant,
            table.c.active,
            ~table.c.built_in,
            table.c.failures >= failures,
            table.c.successes < success * uses,
        )
        .values(active=False, version=table.c.version + 1, updated_at=now)
    )
    return done.rowcount


def renamed(pattern: ErrorPattern, ids: IdSource, **changes: object) -> ErrorPattern:
    """Return a pattern as a row of its own: another id, no counts."""
    return msgspec.structs.replace(pattern, id=ids(), successes=0, failures=0, learned=0, version=0, **changes)


def _pattern(row: Mapping[Any, Any]) -> ErrorPattern:
    values = {**row, "project": row["project"] or None, "file_pattern": row["file_pattern"] or None}
    return ErrorPattern(**values)
