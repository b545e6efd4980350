"""Verify the audit log: hash everything anew, and hold it against what was signed outside the store.

An entry that no longer fits its own hashes is named exactly. A log that was written anew, hashes and all, fits itself,
and only a checkpoint tells; then the events between the last checkpoint that fits and the first that does not are
named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from burnish.errors import BurnishError
from burnish.govern import audit_moves, merkle
from burnish.govern.audit_source import stored
from burnish.govern.checkpoint import kept_checkpoints
from burnish.govern.checkpoint_chain import unfollowed
from burnish.govern.entry import Damaged, Entry
from burnish.govern.note import ORIGIN, Checkpoint, NoteVerifier, Unreadable
from burnish.store.store import Store

SKEW = timedelta(minutes=5)
"""How far an event may be dated before the one that precedes it: the clocks of two writers differ."""
MOST_ISSUES = 200
"""Issues of one kind that are named; the rest are counted."""
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, in words, and the first event that it concerns."""

    seq: int | None = None
    what: str


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a verification: issues in the order of the events, first the first."""

    events: int
    erased: int
    checkpoints: int
    """Checkpoints whose signature counts and whose root is that of the log."""
    root: str
    """Root of the tree over all events, in hexadecimal; empty when events are missing."""
    issues: Sequence[Issue]
    notes: Sequence[str]
    """What could not be checked, and why."""

    @property
    def summary(self) -> str:
        """Return the outcome in one line."""
        counts = ((self.events, "event"), (self.checkpoints, "checkpoint"), (len(self.issues), "issue"))
        events, checkpoints, issues = (f"{count:,} {noun}{'s' * (count != 1)}" for count, noun in counts)
        return f"{events} verified, {checkpoints}, {issues}"


def verify(
    store: Store,
    checkpoints: Iterable[Checkpoint | Unreadable] | None,
    verifier: NoteVerifier,
    *,
    now: datetime,
    skew: timedelta = SKEW,
) -> AuditReport:
    """Verify the log of a store against checkpoints from outside it, and against those that it keeps itself.

    Nothing is changed. 100,000 events take seconds; memory does not grow with their number.

    Args:
        store: The store.
        checkpoints: Those of one file, in its order (see `burnish.govern.checkpoint.read_checkpoints`); None when there
            is no such file.
        verifier: The key ring.
        now: The current time, which the verifier is told.
        skew: How far an event may be dated before its predecessor.

    Raises:
        StoreError: The store cannot be read.
    """
    file = None if checkpoints is None else list(checkpoints)
    with store.read() as connection:
        kept = kept_checkpoints(connection)
        return inspect(stored(connection), file, verifier, now=now, skew=skew, kept=kept)


def inspect(
    entries: Iterable[Entry | Damaged],
    file: Sequence[Checkpoint | Unreadable] | None,
    verifier: NoteVerifier,
    *,
    now: datetime,
    skew: timedelta = SKEW,
    kept: Sequence[Checkpoint | Unreadable] | None = None,
) -> AuditReport:
    """Verify entries in order against checkpoints, wherever both come from.

    `file` are those from outside the store, `kept` those of the store itself; None when there is no such thing.
    """
    found = [*(file or ()), *(kept or ())]
    readable = [one for one in found if isinstance(one, Checkpoint)]
    log = _Log({one.size for one in readable}, skew)
    for entry in entries:
        log.see(entry)
    said = [f"{one.where}: no checkpoint ({one.why})" for one in found if isinstance(one, Unreadable)]
    said += unfollowed(file, kept)
    refusals = {one.note: _refusal(one, verifier, now) for one in {one.note: one for one in readable}.values()}
    said += [f"{one.shown} does not count: {refusals[one.note]}" for one in readable if refusals[one.note]]
    signed = [one for one in readable if not refusals[one.note]]
    good = [one for one in signed if log.origin in {None, one.origin}]
    fitting = {one.note: one.size for one in good if one.root in log.roots.get(one.size, ())}
    own = log.finished()
    foreign = [Issue(seq=1, what=_foreign(one)) for one in signed if log.origin not in {None, one.origin}]
    issues = [*own, *foreign, *_against(log, good, fitting, own), *(Issue(what=why) for why in said)]
    outside = [one.size for one in file or () if isinstance(one, Checkpoint) and one.note in fitting]
    return AuditReport(
        events=log.count,
        erased=log.erased,
        checkpoints=len(fitting),
        root=log.stored.root().hex() if log.whole else "",
        issues=sorted(issues, key=lambda issue: (issue.seq is None, issue.seq or 0)),
        notes=_notes(log, max(outside, default=0)),
    )


class _Log:
    """What is known of the log after each entry."""

    def __init__(self, sizes: set[int], skew: timedelta) -> None:
        self.count = self.last = self.erased = 0
        self.first_erased: list[int] = []
        self.origin: str | None = None
        self.whole = True
        """Whether no event was missing so far, so that roots can be compared."""
        self.stored, self.computed = merkle.Frontier(), merkle.Frontier()
        self.roots: dict[int, set[bytes]] = {}
        self._sizes, self._skew = sizes, skew
        self._previous: datetime | None = None
        self._issues: list[Issue] = []
        self._left_out = 0
        self._moves = audit_moves.Moves()

    def see(self, entry: Entry | Damaged) -> None:
        """Take the next entry into account."""
        self.count += 1
        expected = self.last + 1
        seq = expected if entry.seq is None else entry.seq
        self._place(seq, expected)
        if isinstance(entry, Damaged):
            self._add(seq, f"event {seq} was changed: {entry.why}")
            self._grow(b"", None)
            return
        if expected == 1:
            self.origin = ORIGIN + entry.id
        if entry.erased:
            self.erased += 1
            self.first_erased += [entry.seq] if self.erased <= 10 else []
        self._check(entry, expected)

    def finished(self) -> list[Issue]:
        """Return what is wrong with the entries themselves."""
        for seq, said in self._moves.explained():
            self._add(seq, said)
        if self._left_out:
            self._issues.append(Issue(what=f"{self._left_out:,} more events are not as they were written"))
        return self._issues

    def _place(self, seq: int, expected: int) -> None:
        if seq > expected:
            gone = f"event {expected} is" if seq == expected + 1 else f"events {expected} to {seq - 1} are"
            self._add(expected, f"{gone} missing")
            self._moves.missing(expected, seq)
        elif seq < expected:
            self._add(seq, f"event {seq} is out of order: it comes after event {self.last}")
        self.whole = self.whole and seq == expected
        self.last = max(self.last, seq)

    def _check(self, entry: Entry, expected: int) -> None:
        hashed = entry.leaf_hash()
        as_stored = hashed if hashed.hex() == entry.leaf else _hash(entry.leaf)
        fits, payload_fits = as_stored is hashed, entry.payload_fits()
        if not fits:
            self._moves.add(entry, expected, payload_fits=payload_fits)
        elif not payload_fits:
            how = "is gone, its salt is not" if entry.payload is None else "does not match its digest"
            self._add(entry.seq, f"event {entry.seq} was changed: its payload {how}")
        else:
            self._plausible(entry)
        self._previous = entry.at
        self._grow(as_stored, hashed)

    def _plausible(self, entry: Entry) -> None:
        if _ID.fullmatch(entry.id) is None:
            self._add(entry.seq, f"event {entry.seq} has no UUID for an id: {entry.id[:80]!r}")
        if self._previous is not None and entry.at < self._previous - self._skew:
            dated = f"{_when(entry.at)}, before {_when(self._previous)}"
            self._add(entry.seq, f"event {entry.seq} is dated earlier than the event before it: {dated}")

    def _grow(self, as_stored: bytes, computed: bytes | None) -> None:
        if not self.whole:
            return
        self.stored.append(as_stored)
        self.computed.append(computed or as_stored)
        if self.stored.size in self._sizes:
            self.roots[self.stored.size] = {self.stored.root(), self.computed.root()}

    def _add(self, seq: int, what: str) -> None:
        if len(self._issues) < MOST_ISSUES:
            self._issues.append(Issue(seq=seq, what=what))
        else:
            self._left_out += 1


def _against(
    log: _Log, good: Sequence[Checkpoint], fitting: Mapping[str, int], own: Sequence[Issue]
) -> Iterator[Issue]:
    """Yield what checkpoints whose signatures count say against the log: its end is missing, it was written anew."""
    largest = max(good, key=lambda one: one.size, default=None)
    if largest is not None and largest.size > log.last:
        first = log.last + 1
        gone = f"event {first} is" if largest.size == first else f"events {first} and later are"
        yield Issue(seq=first, what=f"{gone} missing: {largest.shown} was signed at {_when(largest.at)}")
    others = [one for one in good if one.size in log.roots and one.note not in fitting]
    if others:
        yield _rewritten(others, fitting, own)


def _rewritten(others: Sequence[Checkpoint], fitting: Mapping[str, int], own: Sequence[Issue]) -> Issue:
    bad = min(others, key=lambda one: one.size)
    start = 1 + max((size for size in fitting.values() if size < bad.size), default=0)
    span = f"event {start} is" if start == bad.size else f"of events {start} to {bad.size} at least one is"
    more = len({one.note for one in others}) - 1
    also = f"; {more} more checkpoint{'s do' if more != 1 else ' does'} not fit either" if more else ""
    what = f"{span} not what was signed: {bad.shown}, signed at {_when(bad.at)}, has another root{also}"
    exact = [one.seq for one in own if one.seq is not None and start <= one.seq <= bad.size]
    return Issue(seq=min(exact, default=start), what=what)


def _refusal(found: Checkpoint, verifier: NoteVerifier, now: datetime) -> str:
    """Return why a signature does not count; empty when it does."""
    try:
        found.check(verifier, now)
    except BurnishError as error:
        return str(error)
    return ""


def _foreign(found: Checkpoint) -> str:
    return f"event 1 was exchanged, or {found.shown} is of another log: it is of {found.origin}"


def _notes(log: _Log, covered: int) -> list[str]:
    """Return what is not known; `covered` events are by a checkpoint from outside."""
    notes: list[str] = []
    if not covered:
        notes.append(
            "no checkpoint from outside the store fits: that events were cut off at the end, or that the whole log was "
            "written anew, cannot be excluded"
        )
    elif covered < log.last:
        notes.append(f"events after {covered} are not covered by a checkpoint yet: whether any is missing is not known")
    if log.erased:
        shown = ", ".join(str(seq) for seq in log.first_erased) + (", …" if log.erased > 10 else "")
        notes.append(f"{log.erased:,} payload{'s' * (log.erased != 1)} erased, of event {shown}")
    return notes


def _hash(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return text.encode(errors="replace")


def _when(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
