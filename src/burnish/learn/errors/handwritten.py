"""Patterns that a person wrote: what is allowed in them, and the fixed text that every match must hold."""

from __future__ import annotations

import re
from collections.abc import Iterator

from burnish.errors import InvalidValue
from burnish.learn.errors.engines import compiled
from burnish.learn.errors.templating import SHORTEST_LITERAL

LONGEST_SOURCE = 2_000
_GAP = re.compile(r"^(?:\^|\\b|\(\??:?)*(?:\.|\[\^|\\[SWD])[^)]{0,20}[*+]")
_PIECE = re.compile(
    r"(?P<edge>\\[bB]|[\^$])|(?P<gap>\\[A-Za-z0-9]|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|\.)|\\(?P<escaped>.)"
    r"|(?P<optional>[*?]|\{\d+(?:,\d*)?\})|(?P<more>\+)|(?P<open>\()|(?P<close>\))|(?P<other>\|)|(?P<plain>.)",
    re.DOTALL,
)


def literal_of(source: str) -> str:
    """Return the longest fixed text that every match of an RE2 source holds.

    Raises:
        InvalidValue: RE2 refuses the source, it begins with a gap, or it has no fixed text that is long enough.
    """
    if len(source) > LONGEST_SOURCE:
        raise InvalidValue("pattern", source[:60], f"give at most {LONGEST_SOURCE:,} characters")
    compiled(source)
    if _GAP.match(source):
        raise InvalidValue("pattern", source, "it begins with a gap: begin with the words of the error")
    if "(?i" in source or any(kind == "other" for kind, _ in _outside_groups(source)):
        raise InvalidValue(
            "pattern", source, "write alternatives as patterns of their own, and words as they are cased"
        )
    longest = max(fixed_texts(source), key=len, default="")
    if len(longest.strip()) < SHORTEST_LITERAL:
        raise InvalidValue("pattern", source, f"it needs {SHORTEST_LITERAL} characters of fixed text outside of groups")
    return longest


def fixed_texts(source: str) -> list[str]:
    """Return what every match of a source holds: its plain stretches outside of groups, without what is optional."""
    runs = [""]
    for kind, char in _outside_groups(source):
        if kind in {"plain", "escaped"}:
            runs[-1] += char
        elif kind == "optional":
            runs[-1] = runs[-1][:-1]
            runs.append("")
        elif kind != "edge":
            runs.append("")
    return runs


def _outside_groups(source: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, character) of every piece of a source; a group is one gap."""
    depth = 0
    for piece in _PIECE.finditer(source):
        kind = str(piece.lastgroup)
        depth += (kind == "open") - (kind == "close")
        if kind == "close" and not depth:
            yield "gap", ""
        elif not depth:
            yield kind, str(piece[kind])
