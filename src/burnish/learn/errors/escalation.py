"""What it took to resolve an error: every attempt at every level, and the fixes that many projects found.

Level 0 is a known fix, applied at once; each further level costs more. The history of an error says where to start.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from statistics import median_low
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, func, select

from burnish.clock import Clock
from burnish.errors import InvalidValue
from burnish.ids import IdSource
from burnish.learn.errors import sharing, templating
from burnish.learn.errors.engines import encodable
from burnish.learn.errors.message import error_type
from burnish.learn.errors.pattern import MOST_FIX_CHARS
from burnish.store.rows import inserter
from burnish.store.schema.learn import error_escalations as table
from burnish.store.store import Store

LEVELS = ("known fix", "another attempt", "another model", "another plan", "a person")
"""What each level means; a host may number up to 9."""

HIGHEST = 9
WORTH_TRYING = 0.5
"""Probability from which a level is worth its attempt: that of a level nobody tried yet."""

MOST_GROUPS = 20_000


class Escalation(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to resolve one error."""

    id: str
    project: str | None
    run_id: str | None = None
    error_type: str
    signature: str
    level: int
    resolved: bool
    fix: str | None = None
    occurred_at: datetime


class LevelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How a level did on one kind of error."""

    level: int
    tries: int = 0
    resolved: int = 0

    @property
    def probability(self) -> float:
        """Return the probability that it resolves the next: the mean of Beta(1 + resolved, 1 + failed)."""
        return (self.resolved + 1) / (self.tries + 2)


class SharedFix(msgspec.Struct, frozen=True, kw_only=True):
    """A fix that several projects found; nothing in it says which."""

    error_type: str
    signature: str
    fix: str
    projects: int
    frequency: int
    """Errors it resolved."""
    level: int
    """The level at which it did, the median."""


class Escalations:
    """The history of one tenant's errors."""

    def __init__(self, store: Store, *, tenant: str, clock: Clock, ids: IdSource) -> None:
        self._store, self._clock, self._ids = store, clock, ids
        self.tenant = tenant

    def record(
        self,
        error: str,
        *,
        level: int,
        resolved: bool,
        project: str | None = None,
        fix: str | None = None,
        run_id: str | None = None,
    ) -> Escalation:
        """Keep one attempt.

        Raises:
            InvalidValue: The level, project or fix is out of range.
            StoreError: The store said no; nothing was kept.
        """
        if not 0 <= level <= HIGHEST:
            raise InvalidValue("level", level, f"give a level from 0 to {HIGHEST}")
        if fix is not None and len(fix) > MOST_FIX_CHARS:
            raise InvalidValue("fix", fix[:60], f"give at most {MOST_FIX_CHARS:,} characters")
        sharing.checked_project(project)
        kept = Escalation(
            id=self._ids(),
            project=project,
            run_id=run_id,
            error_type=error_type(error),
            signature=templating.signature(error),
            level=level,
            resolved=resolved,
            fix=encodable(fix) if fix else None,
            occurred_at=self._clock.now(),
        )
        with self._store.write() as connection:
            inserter(table, self._store.kind)(connection, [self._row(kept)])
        return kept

    def history(self, *, error: str | None = None, project: str | None = None, limit: int = 50) -> list[Escalation]:
        """Return attempts, the newest first: all, those of a project, those on errors like this one."""
        conditions = [table.c.tenant == self.tenant]
        if project is not None:
            conditions.append(table.c.project == project)
        if error is not None:
            conditions.append(self._like(error))
        query = select(table).where(*conditions).order_by(table.c.occurred_at.desc(), table.c.id.desc()).limit(limit)
        with self._store.read() as connection:
            return [_escalation(row) for row in connection.execute(query).mappings()]

    def levels(self, error: str) -> list[LevelRecord]:
        """Return how every level did on errors like this one, in all projects of the tenant."""
        with self._store.read() as connection:
            return list(self._levels(connection, error).values())

    def next_level(self, error: str, *, project: str | None = None) -> int:
        """Return the level to try next.

        The lowest one that is worth its attempt by what is known of such errors, and above those that this project has
        tried in vain since the error was last resolved. Past the last level it stays a person.
        """
        with self._store.read() as connection:
            known = self._levels(connection, error)
            query = (
                select(table.c.level, table.c.resolved)
                .where(table.c.tenant == self.tenant, self._like(error), table.c.project == (project or ""))
                .order_by(table.c.occurred_at.desc(), table.c.id.desc())
                .limit(HIGHEST + 1)
            )
            recent = [(row[0], row[1]) for row in connection.execute(query)]
        return chosen(known, recent)

    def shared_fixes(
        self, *, redact: Callable[[str], str], share_from: int = sharing.SHARE_FROM, limit: int = 20
    ) -> list[SharedFix]:
        """Return fixes that resolved the same error in several projects, those of most projects first.

        Texts are redacted before they are compared, so a fix counts as the same when it differs only in a secret.

        Args:
            redact: What removes secrets and personal data.
            share_from: Distinct projects a fix must come from, 2 or more.
            limit: Most fixes.

        Raises:
            InvalidValue: `share_from` is below 2.
        """
        sharing.checked(share_from)
        columns = (table.c.error_type, table.c.signature, table.c.fix, table.c.project, table.c.level)
        query = (
            select(*columns, func.count().label("times"))
            .where(table.c.tenant == self.tenant, table.c.resolved, table.c.fix.is_not(None), table.c.project != "")
            .group_by(*columns)
            .order_by(func.max(table.c.occurred_at).desc())
            .limit(MOST_GROUPS)
        )
        with self._store.read() as connection:
            rows = connection.execute(query).mappings().all()
        found = [fix for fix in _shared(rows, redact) if fix.projects >= share_from]
        return sorted(found, key=lambda fix: (-fix.projects, -fix.frequency, fix.signature, fix.fix))[: max(0, limit)]

    def _like(self, error: str) -> ColumnElement[bool]:
        return table.c.signature_digest == templating.digest_of(templating.signature(error))

    def _levels(self, connection: Connection, error: str) -> dict[int, LevelRecord]:
        query = (
            select(table.c.level, table.c.resolved, func.count())
            .where(table.c.tenant == self.tenant, self._like(error))
            .group_by(table.c.level, table.c.resolved)
            .order_by(table.c.level)
        )
        tries: Counter[int] = Counter()
        worked: Counter[int] = Counter()
        for level, resolved, times in connection.execute(query):
            tries[level] += times
            worked[level] += times if resolved else 0
        return {k: LevelRecord(level=k, tries=n, resolved=worked[k]) for k, n in sorted(tries.items())}

    def _row(self, kept: Escalation) -> Sequence[object]:
        digest = templating.digest_of(kept.signature)
        row = {**msgspec.structs.asdict(kept), "tenant": self.tenant, "created_at": kept.occurred_at}
        row |= {"project": kept.project or "", "signature_digest": digest}
        return [row[column.name] for column in table.columns]


def chosen(known: Mapping[int, LevelRecord], recent: Sequence[tuple[int, bool]]) -> int:
    """Return the level to try next.

    Args:
        known: How each level did on errors like this one.
        recent: (level, resolved) of this project's attempts on it, the newest first.
    """
    tried = -1
    for level, resolved in recent:
        if resolved:
            break
        tried = max(tried, level)
    last = len(LEVELS) - 1
    for level in range(tried + 1, last):
        if level not in known or known[level].probability >= WORTH_TRYING:
            return level
    return last


def _shared(rows: Iterable[Mapping[Any, Any]], redact: Callable[[str], str]) -> list[SharedFix]:
    projects: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    levels: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for row in rows:
        key = redact(row["error_type"]), redact(row["signature"]), redact(row["fix"])
        projects[key].add(row["project"])
        levels[key] += [row["level"]] * row["times"]
    return [
        SharedFix(
            error_type=key[0],
            signature=key[1],
            fix=key[2],
            projects=len(projects[key]),
            frequency=len(levels[key]),
            level=median_low(levels[key]),
        )
        for key in projects
    ]


def _escalation(row: Mapping[Any, Any]) -> Escalation:
    values = {name: row[name] for name in Escalation.__struct_fields__}
    return Escalation(**{**values, "project": values["project"] or None})
