"""The error library of one tenant: learn, match, count what worked, prune. The store is the truth; memory is a copy.

Any number of processes may learn and count at once. Each looks for changes of the others before a match, at most every
quarter of a second, and reads only the rows that changed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from heapq import nlargest
from pathlib import PurePosixPath

from burnish.clock import Clock
from burnish.errors import InvalidValue, NotFound, StoreError
from burnish.ids import IdSource
from burnish.learn.errors import ledger, sharing, templating
from burnish.learn.errors.builtin import built_in
from burnish.learn.errors.engines import encodable
from burnish.learn.errors.handwritten import literal_of
from burnish.learn.errors.matcher import Hit
from burnish.learn.errors.memory import Memory, Scope, learned_name, with_counts
from burnish.learn.errors.message import category_of
from burnish.learn.errors.pattern import (
    LEARNED_CONFIDENCE,
    PRUNE_FAILURES,
    PRUNE_SUCCESS,
    ErrorPattern,
    FoundFix,
    checked_fix,
    filled,
    key_of,
)
from burnish.learn.errors.templating import Draft
from burnish.store.store import Store

log = logging.getLogger("burnish")
REFRESH_SECONDS = 0.25
Redact = Callable[[str], str]
Offer = tuple[tuple[float, ...], ErrorPattern, Hit, Scope]
"""(rank, pattern as the project sees it, where it fits, why the project sees it)"""


class ErrorLibrary:
    """The patterns of one tenant. Safe to use from many threads and processes."""

    def __init__(
        self,
        store: Store,
        *,
        tenant: str,
        clock: Clock,
        ids: IdSource,
        redact: Redact | None = None,
        share_from: int = sharing.SHARE_FROM,
        refresh_seconds: float = REFRESH_SECONDS,
    ) -> None:
        """Open the library; nothing is read before it is used.

        Args:
            store: Where the patterns are kept.
            tenant: Whose they are; nothing crosses this border.
            clock: Time.
            ids: Where new ids come from.
            redact: What a fix goes through before another project sees it; without it, projects share nothing.
            share_from: Distinct projects that must have learned a pattern before others see it, 2 or more.
            refresh_seconds: Least time between two looks for changes of other processes.

        Raises:
            InvalidValue: `share_from` is below 2.
        """
        self._store, self._clock, self._ids = store, clock, ids
        self.tenant = tenant
        self._redact = redact
        self._pause = refresh_seconds
        self._lock = threading.RLock()
        self._next_look = float("-inf")
        self._revision: str | None = None
        self._memory = Memory(redact=redact, share_from=sharing.checked(share_from))

    def match(
        self, message: str, file: str | None = None, *, project: str | None = None, limit: int = 5
    ) -> list[FoundFix]:
        """Return what fixes an error, the likeliest first, with captures filled in.

        Never raises because of the store: while it is away, what is in memory is matched. Time is linear in the
        message, whatever was learned.

        Args:
            message: The error, a traceback or a whole log; of more than a million characters the ends count.
            file: The file it is about, to leave out patterns for other kinds of file.
            project: Whose patterns count besides those of the tenant, the built-in and the shared ones.
            limit: Most fixes.
        """
        if self._clock.monotonic() >= self._next_look:
            self._look()
        offers: dict[str, Offer] = {}
        for hit in self._memory.matcher.search(message):
            for pattern in hit.patterns:
                seen = self._memory.seen_from(pattern, project) if pattern.concerns(file) else None
                if seen is None:
                    continue
                shown, scope = seen
                rank = (round(shown.success, 2), scope == "project", len(hit.literal), hit.position)
                if shown.key not in offers or offers[shown.key][0] < rank:
                    offers[shown.key] = rank, shown, hit, scope
        best = sorted(offers.values(), key=_rank, reverse=True)[: max(0, limit)]
        return [_found(pattern, hit, scope) for _, pattern, hit, scope in best]

    def learn(
        self,
        error: str,
        fix: str,
        *,
        project: str | None = None,
        file: str | None = None,
        fix_type: str = "replace",
        category: str | None = None,
        name: str | None = None,
        explanation: str = "",
        source: str = "",
    ) -> ErrorPattern:
        """Keep what fixed an error, as a pattern that fits errors of its kind.

        A known pattern that gives this fix is confirmed; one that would after a word of it becomes a gap is widened;
        else a new one is made. A pattern that was pruned stays so.

        Raises:
            InvalidValue: Nothing in the message tells this error from others, or the fix is empty or too long.
            StoreError: The store said no; nothing was learned.
        """
        kinds = checked_fix(fix, fix_type, category or category_of(error))
        sharing.checked_project(project)
        drafted = templating.draft(error, fix)
        kind_of_file = f"*{PurePosixPath(file.replace(chr(92), '/')).suffix}"[:200] if file else None
        fresh = ErrorPattern(
            id=self._ids(),
            tenant=self.tenant,
            project=project,
            key=key_of(drafted.template, kind_of_file, kinds[0], drafted.fix_template),
            name=encodable(name)[:200] if name else learned_name(drafted),
            category=kinds[1],
            template=drafted.template,
            shape=drafted.shown,
            literal=drafted.literal,
            file_pattern=None if kind_of_file == "*" else kind_of_file,
            fix_type=kinds[0],
            fix_template=drafted.fix_template,
            explanation=encodable(explanation),
            confidence=LEARNED_CONFIDENCE,
            source=encodable(source)[:500],
        )
        self.refresh()
        return self._keep(fresh, drafted, encodable(error), encodable(fix))

    def add(
        self,
        template: str,
        fix_template: str,
        *,
        category: str,
        name: str,
        project: str | None = None,
        fix_type: str = "replace",
        file_pattern: str | None = None,
        explanation: str = "",
        confidence: float = LEARNED_CONFIDENCE,
    ) -> ErrorPattern:
        """Keep a pattern that a person wrote, in RE2, with $1, $2, … in its fix.

        Raises:
            InvalidValue: RE2 refuses it, it begins with a gap, has no fixed text, or a field is out of range.
            StoreError: The store said no; nothing was kept.
        """
        kinds = checked_fix(fix_template, fix_type, category)
        sharing.checked_project(project)
        if not 0.0 <= confidence <= 1.0:
            raise InvalidValue("confidence", confidence, "give a number from 0 to 1")
        pattern = ErrorPattern(
            id=self._ids(),
            tenant=self.tenant,
            project=project,
            key=key_of(template, file_pattern, kinds[0], fix_template),
            name=encodable(name)[:200],
            category=kinds[1],
            template=encodable(template),
            shape=encodable(template),
            literal=literal_of(encodable(template)),
            file_pattern=file_pattern and file_pattern[:200],
            fix_type=kinds[0],
            fix_template=encodable(fix_template),
            explanation=encodable(explanation),
            confidence=confidence,
            source="written by a person",
        )
        with self._store.write() as connection:
            ledger.add(connection, self._store.kind, pattern, now=self._clock.now())
            kept = ledger.by_key(connection, self.tenant, project, pattern.key) or pattern
        self._memory.take([kept])
        return kept

    def record_match(self, pattern_id: str, *, worked: bool, project: str | None = None) -> ErrorPattern:
        """Count whether a fix worked; of a shared fix, for the project that used it. Returns the pattern as it is now.

        Raises:
            NotFound: The tenant has no such pattern.
            StoreError: The store said no; nothing was counted.
        """
        self.refresh()
        known = next((p for p in built_in() if p.id == pattern_id), None) or self._memory.rows.get(pattern_id)
        if known is None:
            raise NotFound("error", pattern_id, self._store.url)
        counts = {"successes": int(worked), "failures": int(not worked)}
        now = self._clock.now()
        with self._store.write() as connection:
            if known.built_in:
                own = ledger.renamed(known, self._ids, tenant=self.tenant, project=None)
            elif project is None or known.project in {None, project}:
                own = known
                ledger.count(connection, self.tenant, own.id, now=now, worked=worked)
            else:
                shown = sharing.redacted(known, sharing.required(self._redact))
                own = ledger.renamed(shown, self._ids, project=project, source="shared by other projects")
            if own is known:
                row = ledger.by_id(connection, self.tenant, own.id) or own
            else:
                ledger.add(connection, self._store.kind, own, now=now, **counts)
                row = ledger.by_key(connection, self.tenant, own.project, own.key) or own
        self._memory.take([row])
        return with_counts(known, row) if known.built_in else row

    def prune(self, *, failures: int = PRUNE_FAILURES, success: float = PRUNE_SUCCESS) -> int:
        """Retire learned patterns that failed at least `failures` times and worked in under `success` of their uses.

        Built-in patterns stay. Returns how many were retired.
        """
        with self._store.write() as connection:
            retired = ledger.prune(connection, self.tenant, now=self._clock.now(), failures=failures, success=success)
        self.refresh()
        return retired

    def top(self, limit: int = 50, *, project: str | None = None, min_success: float = 0.6) -> list[ErrorPattern]:
        """Return the patterns a project sees, by probability that they work, then by uses."""
        seen = (self._memory.seen_from(pattern, project) for pattern in self.patterns())
        best = {shown.key: shown for shown, _ in filter(None, seen) if shown.success >= min_success}
        return nlargest(limit, best.values(), key=lambda p: (p.success, p.successes + p.failures + p.learned, p.key))

    def patterns(self) -> list[ErrorPattern]:
        """Return every active pattern of the tenant, and the built-in ones, with counters."""
        self.refresh()
        return list(self._memory.matcher.patterns())

    def refresh(self) -> bool:
        """Read what other processes changed; returns whether there was something.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._lock:
            self._next_look = self._clock.monotonic() + self._pause
            revision = self._store.revision()
            if revision == self._revision:
                return False
            with self._store.read() as connection:
                if ledger.totals(connection, self.tenant) == (len(self._memory.rows), self._memory.versions):
                    self._revision = revision
                    return False
                now = ledger.versions(connection, self.tenant)
                changed = [i for i, v in now.items() if i not in self._memory.rows or self._memory.rows[i].version != v]
                rows = ledger.load(connection, self.tenant, changed if len(changed) < len(now) else None)
            self._memory.take(rows)
            self._revision = revision
            return True

    def settle(self) -> None:
        """Wait until recent patterns are merged into the large automaton."""
        self._memory.settle()

    def forked(self) -> None:
        """Give a forked child locks of its own and no half-done merge."""
        self._lock = threading.RLock()
        self._memory.forked()

    def _look(self) -> None:
        """Refresh unless another thread does; a store that is away is no reason to stop matching."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self.refresh()
        except StoreError as error:
            log.warning("error patterns are matched from memory: %s", error)
        finally:
            self._lock.release()

    def _keep(self, fresh: ErrorPattern, drafted: Draft, error: str, fix: str) -> ErrorPattern:
        confirmed = self._memory.confirmed(fresh, error, fix)
        widened = list(self._memory.widened(fresh, drafted, fix)) if confirmed is None else []
        now = self._clock.now()
        with self._store.write() as connection:
            row = None
            if confirmed is not None and ledger.count(connection, self.tenant, confirmed.id, now=now, learned=1):
                row = ledger.by_id(connection, self.tenant, confirmed.id)
            for before, after in widened if row is None else ():
                if ledger.widen(connection, before, after, now=now):
                    row = ledger.by_id(connection, self.tenant, after.id)
                    break
            if row is None:
                ledger.add(connection, self._store.kind, fresh, now=now, learned=1)
                row = ledger.by_key(connection, self.tenant, fresh.project, fresh.key)
        kept = row or fresh
        self._memory.take([kept])
        return kept


def _rank(offer: Offer) -> tuple[float, ...]:
    return offer[0]


def _found(pattern: ErrorPattern, hit: Hit, scope: Scope) -> FoundFix:
    return FoundFix(
        pattern_id=pattern.id,
        name=pattern.name,
        category=pattern.category,
        fix_type=pattern.fix_type,
        fix=filled(pattern.fix_template, hit.captures),
        explanation=filled(pattern.explanation, hit.captures),
        captures=hit.captures,
        success=pattern.success,
        uses=pattern.successes + pattern.failures,
        scope=scope,
        projects=pattern.projects,
        line=hit.line,
    )
