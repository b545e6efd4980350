"""`burnish errors`: known errors and what fixes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import BinaryIO

import click

from burnish.cli import shown
from burnish.cli.options import Where, as_json, located, reading, writing
from burnish.clock import SystemClock
from burnish.ids import UuidV7Source
from burnish.learn.errors import sharing
from burnish.learn.errors.escalation import LEVELS, Escalations, SharedFix
from burnish.learn.errors.library import ErrorLibrary
from burnish.learn.errors.pattern import CATEGORIES, FIX_TYPES, ErrorPattern, FoundFix
from burnish.loop import Loop

of_project = click.option("--project", metavar="NAME", help="The project whose patterns count besides the tenant's.")
CHUNK = 1 << 20
MOST_CHUNKS = 4
NOTHING_FITS = "no known error fits: teach it with `burnish errors learn ERROR FIX`"


@click.group()
def command() -> None:
    """Match errors to fixes, teach new ones, and tell what worked."""


@command.command("match")
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--file", "about", metavar="PATH", help="The file the error is about.")
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True, help="Most fixes.")
@of_project
@as_json
@located
def match(*, file: BinaryIO, about: str | None, limit: int, project: str | None, as_json: bool, where: Where) -> None:
    """Show what fixes the error in FILE, a log or a traceback; - reads standard input."""
    message = _ends(file)
    with reading(where) as loop:
        found = library(loop).match(message, about, project=project, limit=limit)
    if as_json:
        shown.print_json(found)
        return
    _show(found)


@command.command("learn")
@click.argument("error")
@click.argument("fix")
@click.option("--file", "about", metavar="PATH", help="The file the error is about; its kind becomes a condition.")
@click.option(
    "--type", "fix_type", type=click.Choice(FIX_TYPES), default="replace", show_default=True, help="What the fix does."
)
@click.option("--category", type=click.Choice(CATEGORIES), help="Kind of error. [default: by its words]")
@click.option("--name", metavar="TEXT", help="What to call it.")
@click.option("--explanation", metavar="TEXT", default="", help="Why it happens.")
@of_project
@as_json
@located
def learn(
    *,
    error: str,
    fix: str,
    about: str | None,
    fix_type: str,
    category: str | None,
    name: str | None,
    explanation: str,
    project: str | None,
    as_json: bool,
    where: Where,
) -> None:
    """Learn that FIX resolves ERROR, and errors of its kind."""
    with writing(where) as loop:
        pattern = library(loop).learn(
            error,
            fix,
            project=project,
            file=about,
            fix_type=fix_type,
            category=category,
            name=name,
            explanation=explanation,
            source="taught on the command line",
        )
    if as_json:
        shown.print_json(pattern)
        return
    shown.line(f"{pattern.id}: {pattern.shape}\n  → {pattern.fix_template}")


@command.command("list")
@click.option("--learned", is_flag=True, help="Leave out the built-in patterns.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Most patterns.")
@of_project
@as_json
@located
def list_(*, learned: bool, limit: int, project: str | None, as_json: bool, where: Where) -> None:
    """List the patterns that a project sees, the likeliest to work first."""
    with reading(where) as loop:
        found = library(loop).top(10_000, project=project, min_success=0.0)
    rows = [pattern for pattern in found if not (learned and pattern.built_in)][:limit]
    if as_json:
        shown.print_json(rows)
        return
    columns = ("id!", "category", "success>", "worked>", "failed>", "error*", "fix*")
    shown.table(columns, [_row(pattern) for pattern in rows], empty="no patterns yet")


@command.command("record")
@click.argument("pattern_id", metavar="ID")
@click.option("--ok/--failed", "worked", default=None, help="Whether the fix worked.")
@of_project
@as_json
@located
def record(*, pattern_id: str, worked: bool | None, project: str | None, as_json: bool, where: Where) -> None:
    """Tell whether the fix of pattern ID worked."""
    if worked is None:
        raise click.UsageError("say whether it worked: --ok or --failed")
    with writing(where) as loop:
        pattern = library(loop).record_match(pattern_id, worked=worked, project=project)
    if as_json:
        shown.print_json(pattern)
        return
    uses = shown.counted(pattern.successes + pattern.failures, "use")
    shown.line(f"{pattern.name}: works with probability {shown.share(pattern.success)} after {uses}")


@command.command("prune")
@as_json
@located
def prune(*, as_json: bool, where: Where) -> None:
    """Retire learned patterns that failed three times or more and mostly."""
    with writing(where) as loop:
        retired = library(loop).prune()
    if as_json:
        shown.print_json({"retired": retired})
        return
    shown.line(f"{shown.counted(retired, 'pattern')} retired")


@command.command("shared")
@click.option(
    "--from",
    "share_from",
    type=click.IntRange(2, 1_000),
    default=sharing.SHARE_FROM,
    show_default=True,
    help="Distinct projects that must have found the fix.",
)
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="Most fixes.")
@as_json
@located
def shared(*, share_from: int, limit: int, as_json: bool, where: Where) -> None:
    """List fixes that several projects found, without saying which; what varies is masked."""
    clock = SystemClock()
    with reading(where) as loop:
        history = Escalations(loop.store, tenant=loop.settings.tenant, clock=clock, ids=UuidV7Source(clock))
        found = history.shared_fixes(redact=sharing.anonymous, share_from=share_from, limit=limit)
    if as_json:
        shown.print_json(found)
        return
    empty = f"no fix was found by {share_from} projects yet"
    shown.table(("projects>", "times>", "level", "error*", "fix*"), [_shared_row(fix) for fix in found], empty=empty)


def library(loop: Loop) -> ErrorLibrary:
    """Return the error library of a loop's store."""
    clock = SystemClock()
    return ErrorLibrary(loop.store, tenant=loop.settings.tenant, clock=clock, ids=UuidV7Source(clock))


def _ends(file: BinaryIO) -> str:
    """Return the beginning and the end of what may be a log of any size."""
    first = file.read(CHUNK)
    last: deque[bytes] = deque(maxlen=MOST_CHUNKS)
    while chunk := file.read(CHUNK):
        last.append(chunk)
    return b"".join((first, *last)).decode("utf-8", "replace")


def _show(found: Sequence[FoundFix]) -> None:
    if not found:
        shown.line(NOTHING_FITS)
    for fix in found:
        shown.title(f"{fix.name} ({fix.category})")
        shown.line(f"  {fix.line}")
        shown.line(f"  → {fix.fix}")
        if fix.explanation:
            shown.line(f"  {fix.explanation}")
        used = f"works with probability {shown.share(fix.success)}, {shown.counted(fix.uses, 'use')}"
        shown.line(f"  {used}; {fix.scope.replace('_', '-')}: {fix.pattern_id}")


def _row(pattern: ErrorPattern) -> tuple[str, ...]:
    return (
        pattern.id,
        pattern.category,
        shown.share(pattern.success),
        shown.count(pattern.successes),
        shown.count(pattern.failures),
        pattern.name if pattern.built_in else pattern.shape,
        pattern.fix_template,
    )


def _shared_row(fix: SharedFix) -> tuple[str, ...]:
    level = LEVELS[fix.level] if fix.level < len(LEVELS) else "beyond"
    return shown.count(fix.projects), shown.count(fix.frequency), f"{fix.level} {level}", fix.signature, fix.fix
