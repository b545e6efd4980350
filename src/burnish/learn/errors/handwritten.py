"""Patterns that a person wrote: what is allowed in them, and the fixed text that every match must hold."""

from __future__ import annotations

import re

from burnish.errors import InvalidValue
from burnish.learn.errors.engines import compiled
from burnish.learn.errors.templating import SHORTEST_LITERAL

LONGEST_SOURCE = 2_000
_GAP = re.compile(r"^(?:\^|\\b|\(\??:?)*(?:\.|\[\^|\\[SWD])[^)]{0,20}[*+]")
_REPEAT = re.compile(r"\{\d+(?:,\d*)?\}")
_QUANTIFIED = ("*", "?", "{")


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
    if "(?i" in source or "|" in _outside_groups(source):
        raise InvalidValue(
            "pattern", source, "write alternatives as patterns of their own, and words as they are cased"
        )
    longest = max(_runs(source), key=len, default="")
    if len(longest.strip()) < SHORTEST_LITERAL:
        raise InvalidValue("pattern", source, f"it needs {SHORTEST_LITERAL} characters of fixed text outside of groups")
    return longest


def _runs(source: str) -> list[str]:
    """Return the stretches of plain characters outside of groups and classes, without those that are optional."""
    runs = [""]
    index = depth = 0
    while index < len(source):
        plain, size, step = _piece(source, index)
        depth += step
        index += size
        if source[index : index + 1] in _QUANTIFIED and source[index : index + 1]:
            runs.append("")
        elif plain and not depth:
            runs[-1] += plain
            if source[index : index + 1] == "+":
                runs.append("")
        elif depth or plain is None:
            runs.append("")
    return runs


def _piece(source: str, index: int) -> tuple[str | None, int, int]:
    """Return (fixed character or None, length in the source, change of depth) of what stands here."""
    char = source[index]
    if char == "\\":
        following = source[index + 1 : index + 2]
        if following in {"b", "B"}:
            return "", 2, 0
        return (None, 2, 0) if following.isalnum() else (following, 2, 0)
    if char == "[":
        end = re.compile(r"\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]").match(source, index)
        return None, (end.end() - index) if end else 1, 0
    if char == "{" and (repeat := _REPEAT.match(source, index)):
        return None, len(repeat[0]), 0
    if char in "()":
        return None, 1, 1 if char == "(" else -1
    if char in "^$":
        return "", 1, 0
    return (None if char in ".*+?{}|" else char), 1, 0


def _outside_groups(source: str) -> str:
    kept = ""
    index = depth = 0
    while index < len(source):
        plain, size, step = _piece(source, index)
        depth += step
        if not depth and plain is None and size == 1:
            kept += source[index]
        index += size
    return kept
