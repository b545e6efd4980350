"""The errors that are known from the start: read from `builtins.toml`, the same for every tenant.

Only their counters are in the store; a pattern of a newer release replaces an older one without a migration.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import msgspec

from burnish.learn.errors.handwritten import literal_of
from burnish.learn.errors.pattern import BUILT_IN_CONFIDENCE, BUILT_IN_ID, Category, ErrorPattern, FixType


class BuiltIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the file."""

    id: str
    name: str
    category: Category
    pattern: str
    file: str | None = None
    fix_type: FixType
    fix: str
    explanation: str
    example: str
    filled: str
    """The fix of the example."""
    near_miss: str
    """A message that looks alike and is another error."""


@cache
def entries() -> Sequence[BuiltIn]:
    """Read the file."""
    text = files("burnish.learn.errors").joinpath("builtins.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text)["pattern"], list[BuiltIn])


@cache
def built_in() -> Sequence[ErrorPattern]:
    """Return every built-in pattern, with no use counted yet."""
    return [
        ErrorPattern(
            id=BUILT_IN_ID + entry.id,
            tenant="",
            key=BUILT_IN_ID + entry.id,
            name=entry.name,
            category=entry.category,
            template=entry.pattern,
            shape=entry.pattern,
            literal=literal_of(entry.pattern),
            file_pattern=entry.file,
            fix_type=entry.fix_type,
            fix_template=entry.fix,
            explanation=entry.explanation,
            confidence=BUILT_IN_CONFIDENCE,
            built_in=True,
            source="built in",
        )
        for entry in entries()
    ]
