"""What one project may learn from others: only what several of them found on their own, and only redacted."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from burnish.errors import InvalidValue
from burnish.learn.errors import shape as shapes
from burnish.learn.errors.engines import encodable
from burnish.learn.errors.pattern import ErrorPattern

SHARE_FROM = 3
"""Distinct projects that must have the same fix before others see it."""


def checked(share_from: int) -> int:
    """Return the number of projects a fix must come from.

    Raises:
        InvalidValue: It is below 2: what one project has is not anonymous.
    """
    if share_from < 2:
        raise InvalidValue("share_from", share_from, "give 2 or more: what a single project has is not anonymous")
    return share_from


def checked_project(project: str | None) -> None:
    """Check the name of a project.

    Raises:
        InvalidValue: It is empty or longer than 500 bytes.
    """
    if project is not None and not 0 < len(project.encode("utf-8", "replace")) <= 500:
        raise InvalidValue("project", project, "give a name of 1 to 500 bytes")


def required(redact: Callable[[str], str] | None) -> Callable[[str], str]:
    """Return what redacts.

    Raises:
        InvalidValue: There is nothing that does.
    """
    if redact is None:
        raise InvalidValue("redact", redact, "pass what removes secrets and personal data before projects share fixes")
    return redact


def redacted(pattern: ErrorPattern, redact: Callable[[str], str]) -> ErrorPattern:
    """Return a pattern whose words are redacted and whose origin is gone; what it matches stays."""
    return msgspec.structs.replace(
        pattern,
        name=redact(pattern.name)[:200],
        shape=redact(pattern.shape),
        fix_template=redact(pattern.fix_template),
        explanation=redact(pattern.explanation),
        source="",
    )


def summed(rows: Iterable[ErrorPattern]) -> ErrorPattern:
    """Return one pattern for the rows of many projects: the oldest one's words, everyone's counts."""
    ordered = sorted((row for row in rows if row.active), key=lambda row: row.id)
    return msgspec.structs.replace(
        ordered[0],
        project=None,
        successes=sum(row.successes for row in ordered),
        failures=sum(row.failures for row in ordered),
        learned=sum(row.learned for row in ordered),
        projects=len({row.project for row in ordered if row.project is not None}),
    )


def distinct_projects(rows: Iterable[ErrorPattern]) -> int:
    """Return in how many projects active rows of one key were learned."""
    return len({row.project for row in rows if row.project is not None and row.active})


def anonymous(text: str) -> str:
    """Return text with ‹kind› in place of all that varies by its form: quotes, paths, addresses, numbers, ids.

    The bluntest redaction there is, for where none was configured; it keeps the words.
    """
    return "\n".join(shapes.written(shapes.masked(line)) for line in encodable(text).split("\n"))
