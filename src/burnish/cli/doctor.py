"""`burnish doctor`: what is wrong or about to be, and what to do about it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import click
import msgspec

from burnish.capture.prices import PriceTable
from burnish.cli import shown
from burnish.cli.options import Where, as_json, located, unopened
from burnish.cli.status import Status, status_of
from burnish.clock import SystemClock
from burnish.errors import StoreError
from burnish.loop import Loop
from burnish.store.sqlite import library_version

FIXED_SQLITE = (3, 51, 3)
"""The first SQLite without the WAL-reset bug."""
TOLERANCE = timedelta(minutes=5)
LOOKED_AT = 500
"""Newest runs that are looked through for missing prices."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `level` is ok, note (nothing to do), warning or error."""

    name: str
    level: str
    finding: str
    remedy: str | None = None


@click.command()
@as_json
@located
@click.pass_context
def command(ctx: click.Context, *, as_json: bool, where: Where) -> None:
    """Check the installation and the store, with remedies.

    The exit code is 1 when anything is in error.
    """
    with unopened(where) as loop:
        checks = examine(loop)
    if as_json:
        shown.print_json(checks)
    else:
        _print(checks)
    if any(check.level == "error" for check in checks):
        ctx.exit(1)


def examine(loop: Loop) -> list[Check]:
    """Return every check; those that need a readable store of this release are left out without one."""
    status = status_of(loop)
    checks = [_store(status), *_folder(loop), *_schema(status)]
    if status.problem is None:
        checks += _library(loop)
        if status.schema == status.wanted_schema:
            checks += _asked(loop, _clock), _asked(loop, _prices)
    return [*checks, _spool(status), _lost(status)]


def _store(status: Status) -> Check:
    if status.problem is not None:
        return Check(name="store", level="error", finding=status.problem)
    return Check(name="store", level="ok", finding=f"{status.store} answers")


def _folder(loop: Loop) -> Iterator[Check]:
    home = loop.home
    try:
        tempfile.TemporaryFile(dir=next(path for path in (home, *home.parents) if path.is_dir())).close()
    except OSError as error:
        remedy = "make it writable, or choose another with BURNISH_HOME (BURNISH_URL for SQLite)"
        yield Check(name="folder", level="error", finding=f"{home} cannot be written: {error}", remedy=remedy)
    else:
        yield Check(name="folder", level="ok", finding=f"{home} can be written")


def _schema(status: Status) -> Iterator[Check]:
    if status.problem is not None:
        return
    if status.schema == status.wanted_schema:
        yield Check(name="schema", level="ok", finding=f"version {status.schema}")
        return
    finding = f"version {status.schema or 'none'}, this release needs {status.wanted_schema}"
    remedy = "run `burnish db upgrade`, or install the release that wrote the store"
    yield Check(name="schema", level="error", finding=finding, remedy=remedy)


def _library(loop: Loop) -> Iterator[Check]:
    if loop.store.kind != "sqlite":
        return
    with loop.store.read() as connection:
        found = library_version(connection)
    version = ".".join(map(str, found))
    if found >= FIXED_SQLITE:
        yield Check(name="sqlite", level="ok", finding=f"SQLite {version}")
        return
    yield Check(
        name="sqlite",
        level="note",
        finding=f"SQLite {version} has the WAL-reset bug (fixed in 3.51.3): a write that overlaps a checkpoint may "
        "damage the file. Burnish avoids it: all its writers take turns on write.lock",
        remedy="nothing to do while only Burnish writes to the file; otherwise use a Python with a newer SQLite",
    )


def _asked(loop: Loop, question: Callable[[Loop], Check]) -> Check:
    try:
        return question(loop)
    except StoreError as error:
        return Check(name="store", level="error", finding=" ".join(str(error).split()))


def _clock(loop: Loop) -> Check:
    newest = loop.runs(limit=1)
    ahead = newest[0].created_at - SystemClock().now() if newest else timedelta(0)
    if ahead <= TOLERANCE:
        return Check(name="clock", level="ok", finding="not behind the newest run")
    finding = f"the newest run was recorded {ahead} in the future"
    remedy = "set this machine's clock, or that of the one that recorded it: ids sort by time"
    return Check(name="clock", level="warning", finding=finding, remedy=remedy)


def _prices(loop: Loop) -> Check:
    prices = PriceTable.load()
    unpriced = Counter(
        run.model
        for run in loop.runs(limit=LOOKED_AT)
        if run.model is not None and run.cost_usd is None and prices.price(run.model) is None
    )
    if not unpriced:
        finding = f"every model of the newest runs has a cost or a list price (as of {prices.as_of})"
        return Check(name="prices", level="ok", finding=finding)
    named = ", ".join(f"{model} ({shown.counted(runs, 'run')})" for model, runs in unpriced.most_common(10))
    remedy = (
        'pass cost_usd to run.call(), or prices to burnish.open: prices={"NAME": {"input": 0.5, "output": 1.5}} in USD '
        "per million tokens"
    )
    return Check(name="prices", level="warning", finding=f"no cost and no list price: {named}", remedy=remedy)


def _spool(status: Status) -> Check:
    if status.spool.unread:
        finding = f"{shown.counted(status.spool.unread, 'file')} of unreadable records in {status.spool.folder}"
        remedy = "drain them with the release that wrote them: rename them to .jsonl, then `burnish db drain`"
        return Check(name="spool", level="warning", finding=finding, remedy=remedy)
    if not status.spool.records:
        return Check(name="spool", level="ok", finding="nothing waits")
    finding = f"{shown.counted(status.spool.records, 'record')} waiting in {status.spool.folder}"
    remedy = "run `burnish db drain` when the store answers; a running process drains by itself"
    return Check(name="spool", level="warning", finding=finding, remedy=remedy)


def _lost(status: Status) -> Check:
    lost = sum(process.lost for process in status.processes)
    dropped = sum(process.dropped for process in status.processes)
    if not lost and not dropped:
        return Check(name="account", level="ok", finding="no run was lost or dropped")
    return Check(
        name="account",
        level="warning",
        finding=f"{shown.counted(lost, 'run')} died with a process, {dropped:,} dropped; see `burnish status`",
        remedy="lost: call loop.flush() before a process may be killed; dropped: raise BURNISH_QUEUE_RUNS or "
        "BURNISH_QUEUE_MB, and see what was logged",
    )


def _print(checks: Sequence[Check]) -> None:
    for check in checks:
        shown.line(f"{check.level:<8} {check.name}: {check.finding}")
        if check.remedy is not None:
            shown.line(f"         remedy: {check.remedy}")
