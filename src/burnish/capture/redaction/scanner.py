"""Find every kind of personal data and secret in a text: one pass of cheap patterns, validators where they match.

The scanner is immutable and shared by a whole process. One lock is held during a scan and across a fork, because RE2
keeps locks of its own that a forked child could inherit while another thread holds them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import msgspec

from burnish.capture.redaction import personal, phones
from burnish.capture.redaction.credentials import credentials
from burnish.capture.redaction.patterns import Pattern, Span, compiled
from burnish.capture.redaction.secrets import Detector, Keyed, Keywords, load

KINDS = ("secret", "card", "iban", "ssn", "email", "phone", "ip")
"""What is looked for, by precedence where findings overlap."""
MARKER = rb"<[a-z][a-z0-9_-]{0,29}:[bcdfghjklmnpqrst]{10}>|<redaction failed>"
FAILED = "<redaction failed>"
_FILLER = 0
_scanning = threading.Lock()


class Finding(msgspec.Struct, frozen=True):
    """Something to be replaced: its kind, and where it stands in the text, in bytes of UTF-8."""

    kind: str
    start: int
    end: int


class Custom(msgspec.Struct, frozen=True):
    """A pattern of the tenant's own."""

    name: str
    pattern: Pattern


Allows = Callable[[str, bytes], bool]
"""Tells whether a value of a kind is to be left alone."""


class _Rule(Keyed, Protocol):
    def find(self, data: bytes) -> Iterator[Span]: ...


_Find = Callable[[bytes], Iterator[Span]]
_WORDED: Mapping[str, _Find] = {"email": personal.emails, "phone": phones.phones}
_NUMBERED: Mapping[str, _Find] = {
    "card": personal.cards,
    "iban": personal.ibans,
    "ssn": personal.ssns,
    "ip": personal.addresses,
}


class Scanner:
    """All rules, compiled. Build it off the hot path; `scanner()` returns the process's one."""

    def __init__(self) -> None:
        document = load()
        self._rules: list[_Rule] = [*credentials(), *(Detector(rule, document.allow) for rule in document.rules)]
        self._keywords = Keywords(self._rules)
        self._marker = compiled(MARKER)
        hints = (personal.NUMBERED, b"@", phones.SHAPED, phones.NAMED, self._keywords.pattern)
        self._anything = compiled(b"|".join(b"(?:" + hint + b")" for hint in hints))
        for pattern in (*personal.ALL, *phones.ALL):
            compiled(pattern)

    def find(
        self, data: bytes, *, kinds: frozenset[str], custom: Sequence[Custom] = (), allows: Allows | None = None
    ) -> list[Finding]:
        """Return what is to be replaced, in order, without overlaps; markers of earlier findings are left alone.

        Args:
            data: Text in UTF-8.
            kinds: Which of KINDS to look for.
            custom: Further patterns; each is a kind of its own.
            allows: Which values are to be left alone.
        """
        with _scanning:
            markers = [match.span() for match in self._marker.finditer(data)] if b"<" in data else []
            text = _hidden(data, markers) if markers else data
            found = [
                Finding(kind, *span)
                for kind, span in self._spans(text, kinds, custom)
                if allows is None or not allows(kind, text[slice(*span)])
            ]
        if not found:
            return found
        return _merged(data, found, markers)

    def _spans(self, data: bytes, kinds: frozenset[str], custom: Sequence[Custom]) -> Iterator[tuple[str, Span]]:
        for rule in custom:
            for match in rule.pattern.finditer(data):
                if match.end() > match.start():
                    yield rule.name, match.span()
        # RE2 gives other threads their turn at each search: most short texts get away with this one.
        if self._anything.search(data) is not None:
            finders = {**_WORDED, **_NUMBERED} if personal.numbered(data) else _WORDED
            for kind, find in {**finders, "secret": self._secrets}.items():
                if kind in kinds:
                    for span in find(data):
                        yield kind, span

    def _secrets(self, data: bytes) -> Iterator[Span]:
        for position in self._keywords.present(data):
            yield from self._rules[position].find(data)


@lru_cache(maxsize=1)
def scanner() -> Scanner:
    """Return the scanner of this process; the first call compiles it."""
    return Scanner()


def _hidden(data: bytes, markers: Sequence[Span]) -> bytes:
    """Return the text with its markers blotted out, so that no rule reads them."""
    blotted = bytearray(data)
    for start, end in markers:
        blotted[start:end] = bytes([_FILLER]) * (end - start)
    return bytes(blotted)


def _merged(data: bytes, found: list[Finding], markers: Sequence[Span]) -> list[Finding]:
    """Return the findings as whole characters and whole markers; those that overlap become one, of the first kind."""
    pieces = sorted(_whole_characters(data, finding) for finding in found)
    pieces = _with_markers(pieces, markers) if markers else pieces
    merged: list[Finding] = []
    for start, end, rank, kind in pieces:
        last = merged[-1] if merged else None
        if last is None or start >= last.end:
            merged.append(Finding(kind, start, end))
        else:
            best = min((_rank(last.kind), last.kind), (rank, kind))[1]
            merged[-1] = Finding(best, last.start, max(end, last.end))
    return merged


def _rank(kind: str) -> int:
    return KINDS.index(kind) + 1 if kind in KINDS else 0


Piece = tuple[int, int, int, str]


def _whole_characters(data: bytes, finding: Finding) -> Piece:
    start, end = finding.start, finding.end
    while start > 0 and data[start] & 0xC0 == 0x80:
        start -= 1
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    return start, end, _rank(finding.kind), finding.kind


def _with_markers(pieces: list[Piece], markers: Sequence[Span]) -> list[Piece]:
    """Drop what lies inside a marker, and widen what reaches into one to all of it."""
    kept: list[Piece] = []
    first = 0
    for start, end, rank, kind in pieces:
        while first < len(markers) and markers[first][1] <= start:
            first += 1
        begin, stop, position = start, end, first
        inside = False
        while position < len(markers) and markers[position][0] < end:
            low, high = markers[position]
            inside = inside or (low <= start and end <= high)
            begin, stop = min(begin, low), max(stop, high)
            position += 1
        if not inside:
            kept.append((begin, stop, rank, kind))
    return sorted(kept)


os.register_at_fork(before=_scanning.acquire, after_in_parent=_scanning.release, after_in_child=_scanning.release)
