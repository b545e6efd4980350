"""`burnish audit`: the log of every governed change, and how anybody checks that it was not tampered with."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from sqlalchemy import Connection

from burnish.cli import shown
from burnish.cli.keys import default_folder
from burnish.cli.options import Where, as_json, located, require_store, writing
from burnish.clock import SystemClock
from burnish.errors import InvalidValue, SigningKeyMissing
from burnish.govern import audit
from burnish.govern.audit_report import AuditReport, inspect, verify as verify_store
from burnish.govern.audit_source import exported, line_of, stored
from burnish.govern.checkpoint import read_checkpoints, write_checkpoint
from burnish.govern.entry import Damaged, Entry
from burnish.govern.key_folder import load_ring
from burnish.govern.note import NoteVerifier
from burnish.govern.public_keys import PublicKeys
from burnish.ids import UuidV7Source
from burnish.store.opening import open_store
from burnish.store.store import Store

NEWEST = 50
TRIES = 3
FILE = click.Path(dir_okay=False, path_type=Path)


class Proof(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a stranger needs to check that an event is in the log, without the log. Hashes are base64 (RFC 6962)."""

    seq: int
    size: int
    leaf_index: int
    leaf: str
    """The bytes whose hash is the leaf: RFC 8785 JSON of the event."""
    leaf_hash: str
    root: str
    inclusion: list[str]
    from_size: int | None = None
    from_root: str | None = None
    consistency: list[str] | None = None


@click.group()
def command() -> None:
    """Show, verify, sign and export the log of every governed change."""


@command.command("verify")
@click.option("--file", type=FILE, metavar="FILE", help="Verify an export instead of a store.")
@click.option(
    "--checkpoints",
    type=FILE,
    metavar="FILE",
    help="Signed checkpoints, kept outside the store. [default: audit_file, else audit.checkpoints beside the store]",
)
@click.option(
    "--key",
    "keys",
    type=FILE,
    multiple=True,
    metavar="FILE",
    help="A public key to trust; may be repeated. [default: the key ring]",
)
@as_json
@located
@click.pass_context
def verify(
    ctx: click.Context,
    *,
    file: Path | None,
    checkpoints: Path | None,
    keys: tuple[Path, ...],
    as_json: bool,
    where: Where,
) -> None:
    """Compute every hash anew and compare with what was signed; exit 1 if anything was changed.

    Without checkpoints from outside the store, it cannot be told whether the end of the log was cut off.
    """
    verifier = _verifier(keys, where)
    if file is not None:
        signed = None if checkpoints is None else read_checkpoints(checkpoints)
        report = inspect(exported(file), signed, verifier, now=datetime.now(UTC))
    else:
        with _store(where) as store:
            report = _verified(store, checkpoints or _own_checkpoints(where), verifier)
    if as_json:
        shown.print_json(report)
    else:
        _print(report)
    if report.issues:
        ctx.exit(1)


@command.command("show")
@click.option("--subject", metavar="NAME", help="Only what was done to this.")
@click.option("--event", metavar="NAME", help="Only events of this kind, such as policy.promoted.")
@click.option("--after", type=click.IntRange(0), default=0, metavar="SEQ", help="Only events after this one.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=NEWEST, show_default=True, help="At most this many.")
@as_json
@located
def show(*, subject: str | None, event: str | None, after: int, limit: int, as_json: bool, where: Where) -> None:
    """List the events of a tenant, oldest first."""
    tenant = where.settings().tenant
    with _reading(where) as connection:
        found = audit.events(connection, tenant=tenant, subject=subject, event=event, after=after, limit=limit)
    if as_json:
        shown.print_json(found)
        return
    columns = ("seq>", "at (UTC)!", "event", "actor", "subject", "payload*")
    shown.table(columns, [_row(entry) for entry in found], empty="no events yet")


@command.command("checkpoint")
@located
def checkpoint(*, where: Where) -> None:
    """Sign the log as it is now, into the file of checkpoints; a running loop does so every minute and at its end."""
    clock = SystemClock()
    with writing(where) as loop:
        signer, file = loop.keys.signer(), loop.checkpoints
        if signer is None:
            raise SigningKeyMissing("a checkpoint")
        made = write_checkpoint(loop.store, signer, file, ids=UuidV7Source(clock), now=clock.now())
    if made is None:
        shown.line("nothing to sign: the log has not grown since the last checkpoint")
    else:
        shown.line(f"{shown.counted(made.size, 'event')} signed by {signer.name}, in {file}")


@command.command("export")
@click.argument("file", type=FILE)
@located
def export(*, file: Path, where: Where) -> None:
    """Write the events of all tenants to FILE, one JSON object a line: enough to verify them without the store."""
    with _reading(where) as connection:
        count = _exported(connection, file)
    click.echo(f"{shown.counted(count, 'event')} written to {shown.safe(str(file))}")


@command.command("proof")
@click.argument("seq", type=click.IntRange(1))
@click.option("--size", type=click.IntRange(1), help="Of the log when it had this many events. [default: all]")
@click.option("--from", "from_size", type=click.IntRange(0), help="Also prove that the log began as that of this size.")
@located
def proof(*, seq: int, size: int | None, from_size: int | None, where: Where) -> None:
    """Print as JSON what proves that event SEQ is in the log, for somebody who has only a signed checkpoint."""
    with _reading(where) as connection:
        shown.print_json(_proof(connection, seq, size or audit.size(connection), from_size))


def _proof(connection: Connection, seq: int, size: int, from_size: int | None) -> Proof:
    included = audit.inclusion(connection, seq, size)
    entry = audit.events(connection, after=seq - 1, limit=1)[0]
    continued: dict[str, Any] = {}
    if from_size is not None:
        continued = {
            "from_size": from_size,
            "consistency": [_text(part) for part in audit.consistency(connection, from_size, size)],
            "from_root": _text(audit.root(connection, from_size)),
        }
    return Proof(
        seq=seq,
        size=size,
        leaf_index=seq - 1,
        leaf=entry.leaf_bytes().decode(),
        leaf_hash=_text(entry.leaf_hash()),
        root=_text(audit.root(connection, size)),
        inclusion=[_text(part) for part in included],
        **continued,
    )


def _exported(connection: Connection, file: Path) -> int:
    """Write all events; a file that is there already is left alone, and half a file is removed."""
    try:
        lines = file.open("xb")
    except OSError as error:
        raise InvalidValue("file", str(file), f"it cannot be made: {error.strerror}") from error
    try:
        with lines:
            return sum(lines.write(_line(entry)) > 0 for entry in stored(connection))
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _line(entry: Entry | Damaged) -> bytes:
    if isinstance(entry, Damaged):
        raise InvalidValue("audit log", f"event {entry.seq}", f"{entry.why}; see all with `burnish audit verify`")
    return line_of(entry)


def _verified(store: Store, checkpoints: Path | None, verifier: NoteVerifier) -> AuditReport:
    """Verify a store; once more when a checkpoint was written in between, which the file as it was read lacks."""
    if checkpoints is None:
        return verify_store(store, None, verifier, now=datetime.now(UTC))
    signed = read_checkpoints(checkpoints)
    for _ in range(TRIES):
        report = verify_store(store, signed, verifier, now=datetime.now(UTC))
        before, signed = signed, read_checkpoints(checkpoints)
        if not report.issues or signed == before:
            break
    return report


def _verifier(keys: tuple[Path, ...], where: Where) -> NoteVerifier:
    return PublicKeys.from_files(keys) if keys else load_ring(default_folder(where))


def _own_checkpoints(where: Where) -> Path | None:
    """Return the file that the loop signs the log in, if there is one."""
    named = where.settings().audit_file
    file = Path(named) if named else default_folder(where).parent / "audit.checkpoints"
    return file if file.is_file() else None


def _print(report: AuditReport) -> None:
    for issue in report.issues:
        click.echo(shown.safe(issue.what))
    for note in report.notes:
        click.echo(f"note: {shown.safe(note)}")
    click.echo(report.summary)


def _row(entry: Entry) -> tuple[str, ...]:
    payload = "erased" if entry.payload is None else shown.plain(entry.payload)
    return str(entry.seq), shown.when(entry.at), entry.event, entry.actor, entry.subject, payload


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


@contextmanager
def _store(where: Where) -> Iterator[Store]:
    store = open_store(where.settings().url)
    try:
        require_store(store)
        store.require_schema()
        yield store
    finally:
        store.close()


@contextmanager
def _reading(where: Where) -> Iterator[Connection]:
    with _store(where) as store, store.read() as connection:
        yield connection
