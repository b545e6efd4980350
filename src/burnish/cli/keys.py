"""`burnish keys`: whose signatures count here, and the keys that this installation signs with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, cast

import click
import msgspec

from burnish.cli import shown
from burnish.cli.options import Where, as_json, file_of, located
from burnish.clock import SystemClock
from burnish.errors import Ambiguous, NotFound
from burnish.govern import key_folder
from burnish.govern.keyring import ALWAYS, REASONS, Key, Reason, pem_of
from burnish.store.opening import open_store

Result = TypeVar("Result")
LONGEST_KEY_FILE = 10_000


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A key of the ring, and what it is good for now."""

    key: Key
    state: str
    """valid, not yet valid, expired, revoked (why), or compromised."""
    private: bool
    """Whether its private half is here, to sign with."""


def with_keys(function: Callable[..., Result]) -> Callable[..., Result]:
    """Add --keys, --store and --tenant; the command receives the key folder as `folder`."""

    @click.option(
        "--keys",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="FOLDER",
        help="Where the key ring is. [default: keys, in the folder of the store]",
    )
    @located
    @functools.wraps(function)
    def command(*args: object, keys: Path | None, where: Where, **options: object) -> Result:
        return function(*args, folder=keys or default_folder(where), **options)

    return command


def default_folder(where: Where) -> Path:
    """Return the key folder of a store: beside its file, or in the settings' home when it is a server."""
    settings = where.settings()
    store = open_store(settings.url)
    home = file_of(store).parent if store.kind == "sqlite" else Path(settings.home).absolute()
    return home / "keys"


def text_of(public: str) -> str:
    """Return a public key that was given as it is, or as the name of its file."""
    if len(public) > 255 or not Path(public).is_file():
        return public
    with Path(public).open("rb") as file:
        return file.read(LONGEST_KEY_FILE).decode("utf-8", "replace")


@click.group()
def command() -> None:
    """Show, make, trust and revoke the keys that sign policies."""


@command.command("list")
@as_json
@with_keys
def list_(*, as_json: bool, folder: Path) -> None:
    """List the keys that are trusted.

    * marks those that this installation can sign with.
    """
    now = SystemClock().now()
    rows = [
        Listed(key=key, state=_state(key, now), private=key_folder.holds_private(folder, key.key_id))
        for key in key_folder.load_ring(folder).keys
    ]
    if as_json:
        shown.print_json(rows)
        return
    columns = ("key!", "", "name", "state", "valid from (UTC)", "until (UTC)", "revoked (UTC)")
    shown.table(
        columns, [_row(row) for row in rows], empty=f"no keys in {folder}: make one with `burnish keys new NAME`"
    )


@command.command("new")
@click.argument("name")
@click.option("--days", type=click.IntRange(1, key_folder.MOST_DAYS), help="How long it signs. [default: for ever]")
@with_keys
def new(*, name: str, days: int | None, folder: Path) -> None:
    """Make a key pair, to sign with from now on.

    NAME is whose it is.
    """
    signer = key_folder.new_key(folder, name, now=SystemClock().now(), valid_days=days)
    shown.line(f"{signer.key_id} {name}")


@command.command("import")
@click.argument("public")
@click.option("--name", required=True, metavar="NAME", help="Whose key it is.")
@click.option("--from", "start", type=click.DateTime(), help="Earlier signatures do not count, UTC. [default: all do]")
@click.option("--until", type=click.DateTime(), help="Signatures since then do not count, UTC. [default: all do]")
@with_keys
def import_(*, public: str, name: str, start: datetime | None, until: datetime | None, folder: Path) -> None:
    """Trust the key of somebody else.

    PUBLIC is a public key: a file, or the text, in PEM or base64.
    """
    key = key_folder.import_key(
        folder, text_of(public), name, valid_from=_utc(start) or ALWAYS, valid_until=_utc(until)
    )
    shown.line(f"{key.key_id} {key.name}: {_state(key, SystemClock().now())}")


@command.command("export")
@click.argument("key")
@click.option("--raw", is_flag=True, help="Base64 of the 32 bytes, not PEM.")
@with_keys
def export(*, key: str, raw: bool, folder: Path) -> None:
    """Print a public key.

    KEY is its id, the beginning of that, or its name.
    """
    found = _found(folder, key)
    click.echo(found.public if raw else pem_of(found.public).rstrip())


@command.command("revoke")
@click.argument("key")
@click.option(
    "--reason",
    type=click.Choice(REASONS),
    required=True,
    help="compromised: none of its signatures counts, whenever made. Otherwise: none from now on.",
)
@with_keys
def revoke(*, key: str, reason: str, folder: Path) -> None:
    """Take back the trust in a key.

    KEY is its id, the beginning of that, or its name. There is no way back.
    """
    found = _found(folder, key)
    revoked = key_folder.revoke(folder, found.key_id, cast("Reason", reason), now=SystemClock().now())
    shown.line(f"{revoked.key_id} {revoked.name}: {_state(revoked, SystemClock().now())}")


@command.command("retire")
@click.argument("key")
@with_keys
def retire(*, key: str, folder: Path) -> None:
    """Sign no longer with a key.

    KEY is its id, the beginning of that, or its name. What it signed so far still counts.
    """
    retired = key_folder.retire(folder, _found(folder, key).key_id, now=SystemClock().now())
    shown.line(f"{retired.key_id} {retired.name}: {_state(retired, SystemClock().now())}")


def _found(folder: Path, text: str) -> Key:
    """Return the key that is called so.

    Raises:
        NotFound: None is.
        Ambiguous: Several are.
    """
    keys = key_folder.load_ring(folder).keys
    starts = (text, f"sha256:{text}")
    found = [key for key in keys if text and (key.name == text or key.key_id.startswith(starts))]
    if not found:
        raise NotFound("key", text, str(folder))
    if len(found) > 1:
        raise Ambiguous("key", text, str(folder))
    return found[0]


def _state(key: Key, now: datetime) -> str:
    if key.revocation_reason == "compromised":
        return "compromised"
    if key.revoked_at is not None:
        return f"revoked ({key.revocation_reason or 'no reason given'})"
    if key.valid_until is not None and now >= key.valid_until:
        return "expired"
    return "valid" if now >= key.valid_from else "not yet valid"


def _row(row: Listed) -> tuple[str, ...]:
    key = row.key
    start = "always" if key.valid_from == ALWAYS else shown.when(key.valid_from)
    until, revoked = (shown.NOTHING if m is None else shown.when(m) for m in (key.valid_until, key.revoked_at))
    return key.key_id, "*" if row.private else "", key.name, row.state, start, until, revoked


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
