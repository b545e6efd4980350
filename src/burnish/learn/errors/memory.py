"""One tenant's patterns in memory: the rows as they were last read, the matcher over them, who may see what.

It does not know the store. `take` is given rows in any order and any number of times: the newest version of each wins.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from heapq import nlargest
from typing import Literal, TypeAlias

import msgspec

from burnish.learn.errors import shape as shapes, sharing, templating
from burnish.learn.errors.builtin import built_in
from burnish.learn.errors.matcher import built
from burnish.learn.errors.pattern import ErrorPattern, filled, key_of
from burnish.learn.errors.templating import Draft

MOST_CANDIDATES = 20
"""Known patterns that a new example is aligned with."""

LEAST_OVERLAP = 0.5
"""Share of the longer one's words that two messages must have in common to be aligned."""

LEARNED = "Learned: "
Scope: TypeAlias = Literal["project", "tenant", "shared", "built_in"]
Changes: TypeAlias = tuple[list[ErrorPattern], list[ErrorPattern]]
"""(patterns that changed, patterns that are gone)"""


class Memory:
    """The patterns of a tenant, ready to be matched. Safe to use from many threads."""

    def __init__(self, *, redact: Callable[[str], str] | None, share_from: int) -> None:
        self.matcher = built(built_in())
        self.rows: dict[str, ErrorPattern] = {}
        self.versions = 0
        """Σ version of the rows."""
        self._redact = redact
        self._share_from = share_from
        self._by_key: dict[str, dict[str, ErrorPattern]] = defaultdict(dict)
        self._words: dict[str, tuple[int, frozenset[str]]] = {}
        self._lock = threading.Lock()
        self._merging: threading.Thread | None = None
        self._since: list[Changes] = []

    def take(self, rows: Sequence[ErrorPattern]) -> None:
        """Put rows as they are in the store into memory."""
        with self._lock:
            changed: list[ErrorPattern] = []
            gone: list[ErrorPattern] = []
            for row in rows:
                before = self.rows.get(row.id)
                if before is None or before.version < row.version:
                    self._replace(before, row, changed, gone)
            if changed or gone:
                self._advance(changed, gone)

    def seen_from(self, pattern: ErrorPattern, project: str | None) -> tuple[ErrorPattern, Scope] | None:
        """Return a pattern as a project sees it, and why it does; None when it does not."""
        if pattern.built_in:
            return pattern, "built_in"
        if pattern.project is None:
            return pattern, "tenant"
        if pattern.project == project:
            return pattern, "project"
        if self._redact is None:
            return None
        rows = [*self._by_key[pattern.key].values()]
        own = any(row.project == project for row in rows)
        if own or sharing.distinct_projects(rows) < self._share_from:
            return None
        return sharing.redacted(sharing.summed(rows), self._redact), "shared"

    def confirmed(self, fresh: ErrorPattern, error: str, fix: str) -> ErrorPattern | None:
        """Return a learned pattern of the same project that gives this very fix for this error."""
        for hit in self.matcher.search(error):
            for pattern in hit.patterns:
                same = (pattern.project, pattern.fix_type) == (fresh.project, fresh.fix_type)
                if same and not pattern.built_in and filled(pattern.fix_template, hit.captures) == fix:
                    return pattern
        return None

    def widened(self, fresh: ErrorPattern, drafted: Draft, fix: str) -> Iterator[tuple[ErrorPattern, ErrorPattern]]:
        """Yield (pattern, the same wider) for patterns that fit the example once a word of them becomes a gap."""
        words = _words(fresh.shape)
        near = [
            (overlap, pattern)
            for pattern in [*self.rows.values()]
            if _comparable(pattern, fresh) and (overlap := _overlap(words, self._words_of(pattern))) >= LEAST_OVERLAP
        ]
        for _, pattern in nlargest(MOST_CANDIDATES, near, key=lambda pair: pair[0]):
            wider = templating.generalised(shapes.parsed(pattern.shape), pattern.fix_template, drafted, fix)
            if wider is not None:
                yield pattern, _as_wide_as(pattern, wider)

    def settle(self) -> None:
        """Wait until recent patterns are merged into the large automaton."""
        merging = self._merging
        if merging is not None:
            merging.join()

    def forked(self) -> None:
        """Give a forked child a lock of its own and no half-done merge."""
        self._lock = threading.Lock()
        self._merging, self._since = None, []

    def _replace(
        self, before: ErrorPattern | None, row: ErrorPattern, changed: list[ErrorPattern], gone: list[ErrorPattern]
    ) -> None:
        self.versions += row.version - (before.version if before else 0)
        self.rows[row.id] = row
        if row.built_in:
            changed += [with_counts(pattern, row) for pattern in built_in() if pattern.key == row.key]
            return
        if before is not None:
            self._by_key[before.key].pop(row.id, None)
            if before.template != row.template or not row.active:
                gone.append(before)
        self._by_key[row.key][row.id] = row
        if row.active:
            changed.append(row)

    def _advance(self, changed: list[ErrorPattern], gone: list[ErrorPattern]) -> None:
        self.matcher = self.matcher.with_patterns(changed, gone)
        if self._merging is not None:
            self._since.append((changed, gone))
        elif self.matcher.merge_due:
            self._since = []
            self._merging = threading.Thread(target=self._merge, name="burnish-errors", daemon=True)
            self._merging.start()

    def _merge(self) -> None:
        made = self.matcher.merged()
        with self._lock:
            self.matcher = made.with_patterns(*_at_once(self._since)) if self._since else made
            self._merging, self._since = None, []

    def _words_of(self, pattern: ErrorPattern) -> frozenset[str]:
        known = self._words.get(pattern.id)
        if known is None or known[0] != pattern.version:
            known = self._words[pattern.id] = pattern.version, _words(pattern.shape)
        return known[1]


def learned_name(drafted: Draft) -> str:
    """Return the name of a pattern that nobody named."""
    return f"{LEARNED}{drafted.shown}"[:200]


def with_counts(pattern: ErrorPattern, row: ErrorPattern) -> ErrorPattern:
    """Return a built-in pattern of this release with the counters of the store."""
    return msgspec.structs.replace(
        pattern, tenant=row.tenant, successes=row.successes, failures=row.failures, version=row.version
    )


def _at_once(steps: Sequence[Changes]) -> Changes:
    """Return the changes of many steps as those of one."""
    latest: dict[tuple[str, str], ErrorPattern] = {}
    removed: list[ErrorPattern] = []
    for changed, gone in steps:
        for pattern in gone:
            latest.pop((pattern.template, pattern.id), None)
        removed += gone
        latest.update({(pattern.template, pattern.id): pattern for pattern in changed})
    return list(latest.values()), removed


def _comparable(pattern: ErrorPattern, fresh: ErrorPattern) -> bool:
    return (
        pattern.project == fresh.project
        and pattern.active
        and not pattern.built_in
        and pattern.fix_type == fresh.fix_type
        and pattern.file_pattern == fresh.file_pattern
    )


def _as_wide_as(pattern: ErrorPattern, wider: Draft) -> ErrorPattern:
    return msgspec.structs.replace(
        pattern,
        key=key_of(wider.template, pattern.file_pattern, pattern.fix_type, wider.fix_template),
        template=wider.template,
        shape=wider.shown,
        literal=wider.literal,
        fix_template=wider.fix_template,
        name=learned_name(wider) if pattern.name.startswith(LEARNED) else pattern.name,
    )


def _words(shape: str) -> frozenset[str]:
    return frozenset(token for token in shapes.parsed(shape) if isinstance(token, str) and token.isalnum())


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / max(len(one), len(other), 1)
