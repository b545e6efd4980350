"""`burnish status`: where every captured run is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from burnish.capture.counters import FIELDS as COUNTED, Counts
from burnish.capture.spool import SUFFIX, UNREAD
from burnish.cli import shown
from burnish.cli.options import Where, as_json, located, require_store, unopened
from burnish.errors import BurnishError
from burnish.loop import Loop
from burnish.store import version

FIELDS = ("started", "finished", "stored", "spooled", "dropped", "waiting", "lost")


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """The account of one process, in runs: finished = stored + spooled + dropped + waiting + lost."""

    process_id: str
    pid: int
    alive: bool
    started: int
    finished: int
    stored: int
    spooled: int
    dropped: int
    waiting: int
    lost: int

    @classmethod
    def of(cls, counts: Counts) -> Process:
        """Return the account of a process from its counters."""
        known = {name: getattr(counts, name) for name in ("process_id", "alive", *COUNTED)}
        return cls(**known, waiting=counts.pending - counts.lost, lost=counts.lost)


class Spooled(msgspec.Struct, frozen=True, kw_only=True):
    """What waits on disk for the store."""

    folder: str
    files: int
    records: int
    bytes: int
    unread: int
    """Files of records that could not be read, as after a downgrade; they are kept."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The store, the spool and every process that captured from this machine."""

    store: str
    kind: str
    schema: str | None
    wanted_schema: str
    problem: str | None
    """Why the store cannot be read; None when it can."""
    spool: Spooled
    processes: Sequence[Process]


@click.command()
@as_json
@located
def command(*, as_json: bool, where: Where) -> None:
    """Account for every run captured from this machine."""
    with unopened(where) as loop:
        found = status_of(loop)
    if as_json:
        shown.print_json(found)
    else:
        _print(found)


def status_of(loop: Loop) -> Status:
    """Return the account; a store that is away is part of the answer."""
    schema, problem = None, None
    try:
        require_store(loop.store)
        with loop.store.read() as connection:
            schema = version.current_version(connection)
    except BurnishError as error:
        problem = " ".join(str(error).split())
    return Status(
        store=loop.store.url,
        kind=loop.store.kind,
        schema=schema,
        wanted_schema=version.HEAD,
        problem=problem,
        spool=_spooled(loop.home / "spool"),
        processes=[Process.of(counts) for counts in loop.status()],
    )


def _spooled(folder: Path) -> Spooled:
    files = records = size = 0
    for path in folder.glob(f"*{SUFFIX}"):
        try:
            with path.open("rb") as lines:
                found = sum(1 for _ in lines)
            size += path.stat().st_size
        except FileNotFoundError:
            continue  # drained meanwhile
        files, records = files + (found > 0), records + found
    return Spooled(
        folder=str(folder), files=files, records=records, bytes=size, unread=len(list(folder.glob(f"*{UNREAD}")))
    )


def _print(found: Status) -> None:
    shown.line(f"store: {found.store} ({found.kind}, schema {found.schema or 'none'})")
    if found.problem:
        shown.line(f"problem: {found.problem}")
    waiting = f"{shown.counted(found.spool.records, 'record')} waiting; `burnish db drain` writes them"
    shown.line(f"spool: {waiting if found.spool.records else 'nothing waits'}")
    shown.title("Processes (in runs)")
    counted = [p for p in found.processes if p.started or p.finished]
    columns = ("process!", "pid>", "alive", *(f"{name}>" for name in FIELDS))
    rows = [_row(process) for process in counted]
    shown.table(columns, rows, empty="no process has captured a run here yet")
    if len(counted) > 1:
        totals = {name: sum(getattr(process, name) for process in counted) for name in FIELDS}
        shown.line("all: " + ", ".join(f"{value:,} {name}" for name, value in totals.items()))


def _row(process: Process) -> tuple[str, ...]:
    numbers = (f"{getattr(process, name):,}" for name in FIELDS)
    return (process.process_id, str(process.pid), shown.verdict(process.alive), *numbers)
