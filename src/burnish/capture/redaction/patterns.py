"""Compile bytes patterns with RE2, and look around a match.

Everything is searched as UTF-8 bytes in Latin-1 mode: RE2 is fastest so, and offsets need no translation. A match that
begins or ends inside a character is widened to whole characters by the scanner.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol

MEMORY = 4 << 20
"""Bytes that one compiled pattern may take."""
Span = tuple[int, int]


class Match(Protocol):
    """The parts of RE2's match that are used here."""

    def span(self, group: int = 0) -> Span:
        """Return where a group matched; (-1, -1) when it did not."""

    def group(self, group: int = 0) -> bytes:
        """Return what a group matched."""

    def start(self, group: int = 0) -> int:
        """Return where a group begins."""

    def end(self, group: int = 0) -> int:
        """Return where a group ends."""


class Pattern(Protocol):
    """The parts of RE2's compiled pattern that are used here."""

    groups: int

    def search(self, text: bytes, pos: int | None = None, endpos: int | None = None) -> Match | None:
        """Return the first match."""

    def finditer(self, text: bytes, pos: int | None = None, endpos: int | None = None) -> Iterator[Match]:
        """Return the matches in order."""


@lru_cache(maxsize=1024)
def compiled(pattern: bytes) -> Pattern:
    """Return a pattern compiled by RE2, in Latin-1 mode.

    Raises:
        re2.error: RE2 does not accept it (look-around, back-references, too large).
    """
    import re2  # type: ignore[import-untyped]  # it ships none

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = MEMORY
    options.log_errors = False
    found: Pattern = re2.compile(pattern, options)
    return found


def is_word(byte: int) -> bool:
    """Tell whether a byte is a letter, a digit, an underscore or part of a non-ASCII character."""
    return 48 <= byte <= 57 or 65 <= byte <= 90 or byte == 95 or 97 <= byte <= 122 or byte >= 128


def before(data: bytes, start: int) -> int:
    """Return the byte before a position, or a space at the beginning."""
    return data[start - 1] if start > 0 else 32


def after(data: bytes, end: int) -> int:
    """Return the byte at a position, or a space at the end."""
    return data[end] if end < len(data) else 32


def stands_alone(data: bytes, start: int, end: int, *, closed: bytes = b"-.") -> bool:
    """Tell whether a number is not part of a longer word, number or dotted name.

    `closed` holds the marks that join it to what stands before, and to a word or number behind.
    """
    previous, following = before(data, start), after(data, end)
    if is_word(previous) or is_word(following) or previous in closed:
        return False
    return not (following in closed and is_word(after(data, end + 1)))
