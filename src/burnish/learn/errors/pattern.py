"""A known error and its fix: one record, the belief that the fix works, and how a fix is filled in.

It does not know how patterns are found in a message (`matcher`) or kept (`ledger`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

import msgspec

from burnish.errors import InvalidValue

Category: TypeAlias = Literal["syntax", "import", "type", "runtime", "build", "lint", "style"]
FixType: TypeAlias = Literal["replace", "insert", "delete", "refactor", "multi_file"]
CATEGORIES: tuple[Category, ...] = ("syntax", "import", "type", "runtime", "build", "lint", "style")
FIX_TYPES: tuple[FixType, ...] = ("replace", "insert", "delete", "refactor", "multi_file")

BUILT_IN_CONFIDENCE = 0.9
LEARNED_CONFIDENCE = 0.7
PRIOR_WEIGHT = 4.0
"""Uses that the confidence a pattern starts with weighs in the belief about it."""

PRUNE_FAILURES = 3
PRUNE_SUCCESS = 0.5
MOST_FIX_CHARS = 20_000
MOST_CAPTURE_CHARS = 500
BUILT_IN_ID = "builtin:"

_REFERENCE = re.compile(r"\$(\$|[1-9][0-9]?)")


class ErrorPattern(msgspec.Struct, frozen=True, kw_only=True):
    """One way to recognise an error, and what fixes it."""

    id: str
    tenant: str
    project: str | None = None
    """None: every project of the tenant."""
    key: str
    """The same pattern with the same fix has the same key in every project."""
    name: str
    category: Category
    template: str
    """RE2 source; `^` and `$` stand at line ends."""
    shape: str
    """The template as people read it: ‹kind› where the message varies."""
    literal: str
    """Text that every match holds; what the automaton looks for."""
    file_pattern: str | None = None
    """Glob on the name of the file the error is about."""
    fix_type: FixType
    fix_template: str
    """$1, $2, … are what the template captured; $$ is a dollar sign."""
    explanation: str = ""
    confidence: float
    """What the belief starts from, in [0, 1]."""
    successes: int = 0
    failures: int = 0
    learned: int = 0
    """How often it was learned; from the second time on each counts as a success."""
    built_in: bool = False
    active: bool = True
    source: str = ""
    """Where it came from, in words."""
    projects: int = 0
    """Distinct projects in which the same pattern was learned."""
    version: int = 0

    @property
    def posterior(self) -> tuple[float, float]:
        """Return (α, β) of the Beta belief that the fix works."""
        worked = self.successes + max(0, self.learned - 1)
        return PRIOR_WEIGHT * self.confidence + worked, PRIOR_WEIGHT * (1.0 - self.confidence) + self.failures

    @property
    def success(self) -> float:
        """Return the probability that the fix works: the mean of the posterior."""
        alpha, beta = self.posterior
        return alpha / (alpha + beta)

    @property
    def success_sd(self) -> float:
        """Return the standard deviation of the posterior."""
        alpha, beta = self.posterior
        total = alpha + beta
        return float((alpha * beta / (total * total * (total + 1.0))) ** 0.5)

    def concerns(self, file: str | None) -> bool:
        """Tell whether it may speak of this file; without a file every pattern may."""
        if file is None or self.file_pattern is None:
            return True
        name = file.replace("\\", "/")
        return fnmatchcase(name, self.file_pattern) or fnmatchcase(name.rpartition("/")[2], self.file_pattern)


class FoundFix(msgspec.Struct, frozen=True, kw_only=True):
    """One fix for one error, filled in."""

    pattern_id: str
    name: str
    category: Category
    fix_type: FixType
    fix: str
    explanation: str
    captures: Sequence[str]
    success: float
    """Probability that it works."""
    uses: int
    """Uses that were reported to have worked or failed."""
    scope: Literal["project", "tenant", "shared", "built_in"]
    projects: int
    """Distinct projects the pattern was learned in."""
    line: str
    """The text that matched."""


def key_of(template: str, file_pattern: str | None, fix_type: str, fix_template: str) -> str:
    """Return what makes two patterns the same: SHA-256 over template, file pattern and fix."""
    parts = "\0".join((template, file_pattern or "", fix_type, fix_template))
    return hashlib.sha256(parts.encode("utf-8", "replace")).hexdigest()


def filled(fix_template: str, captures: Sequence[str]) -> str:
    """Return the fix with $1, $2, … replaced; a reference to a group there is not becomes empty."""

    def one(reference: re.Match[str]) -> str:
        what = reference[1]
        if what == "$":
            return "$"
        return captures[int(what) - 1][:MOST_CAPTURE_CHARS] if int(what) <= len(captures) else ""

    return _REFERENCE.sub(one, fix_template)


def with_references(fix: str, captures: Mapping[int, str]) -> str:
    """Return a fix as a template: every whole occurrence of what group n captured becomes $n.

    Text of fewer than three characters (two digits) is replaced only between quotes, else `a` would hit every article.
    """
    groups = {text: group for group, text in sorted(captures.items(), reverse=True) if text.strip()}
    if not groups:
        return fix.replace("$", "$$")
    alternatives = "|".join(re.escape(text) for text in sorted(groups, key=len, reverse=True))
    pieces: list[str] = []
    end = 0
    for found in re.finditer(alternatives, fix):
        if not _stands_alone(fix, found.start(), found.end()):
            continue
        pieces += [fix[end : found.start()].replace("$", "$$"), f"${groups[found[0]]}"]
        end = found.end()
        if fix[end : end + 1].isdigit():  # else $1 followed by 5 would read $15
            return fix.replace("$", "$$")
    return "".join([*pieces, fix[end:].replace("$", "$$")])


def checked_fix(fix: str, fix_type: str, category: str) -> tuple[FixType, Category]:
    """Return the kinds of a fix, checked.

    Raises:
        InvalidValue: The fix is empty or too long, or a kind is none of ours.
    """
    if not fix.strip():
        raise InvalidValue("fix", fix, "say what resolves the error")
    if len(fix) > MOST_FIX_CHARS:
        raise InvalidValue("fix", fix[:60], f"give at most {MOST_FIX_CHARS:,} characters: the change, not the file")
    if fix_type not in FIX_TYPES:
        raise InvalidValue("fix_type", fix_type, f"give one of {', '.join(FIX_TYPES)}")
    if category not in CATEGORIES:
        raise InvalidValue("category", category, f"give one of {', '.join(CATEGORIES)}")
    return fix_type, category


def _stands_alone(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    if end - start < 3 and not (end - start == 2 and text[start:end].isdigit()):
        return before in {"'", '"', "`"} and after == before
    joined = (before.isalnum() or before == "_") and (text[start].isalnum() or text[start] == "_")
    return not joined and not ((after.isalnum() or after == "_") and (text[end - 1].isalnum() or text[end - 1] == "_"))
