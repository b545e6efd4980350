"""`burnish goldens`: frozen items that no candidate may do worse on."""

from __future__ import annotations

from pathlib import Path

import click

from burnish.cli import shown
from burnish.cli.options import Where, as_json, located, reading, writing
from burnish.clock import SystemClock
from burnish.curate import goldens
from burnish.errors import InvalidValue
from burnish.ids import UuidV7Source


@click.group()
def command() -> None:
    """Show or freeze golden datasets."""


@command.command("list")
@as_json
@located
def list_(*, as_json: bool, where: Where) -> None:
    """List every version of every golden dataset."""
    with reading(where) as loop, loop.store.read() as connection:
        found = goldens.versions(connection, tenant=loop.settings.tenant)
    if as_json:
        shown.print_json(found)
        return
    rows = [
        (one.name, str(one.version), f"{one.size:,}", shown.when(one.created_at), one.digest, one.note or "")
        for one in found
    ]
    columns = ("name", "version>", "items>", "frozen", "digest!", "note*")
    shown.table(columns, rows, empty="no golden datasets yet: freeze one with `burnish goldens freeze FILE.jsonl NAME`")


@command.command("show")
@click.argument("name")
@click.option("--version", type=click.IntRange(1), metavar="N", help="Which version. [default: the newest]")
@as_json
@located
def show(*, name: str, version: int | None, as_json: bool, where: Where) -> None:
    """Show the items of NAME, after checking that they are those that were frozen."""
    with reading(where) as loop, loop.store.read() as connection:
        found = goldens.load(connection, name, version, tenant=loop.settings.tenant)
    if as_json:
        shown.print_json(found)
        return
    shown.line(f"{found.name}, version {found.version}, {shown.counted(found.size, 'item')}, {found.digest}")
    rows = [(item.id, item.task_type, shown.share(item.baseline_loss), item.task) for item in found.items]
    shown.table(("item!", "task type", "loss to hold>", "task*"), rows)


@command.command("freeze")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("name")
@click.option("--note", metavar="TEXT", help="Why, in words.")
@located
def freeze(*, file: Path, name: str, note: str | None, where: Where) -> None:
    """Freeze the items of FILE, one JSON object a line, as the next version of NAME.

    Fields: id, task, task_type, features, inputs, expected, baseline_loss. Items that are frozen already keep their
    version.
    """
    items = goldens.read_lines(_lines(file), file.name)
    clock = SystemClock()
    with writing(where) as loop, loop.store.write() as connection:
        tenant = loop.settings.tenant
        frozen = goldens.freeze(
            connection, name, items, tenant=tenant, ids=UuidV7Source(clock), now=clock.now(), note=note
        )
    shown.line(f"{frozen.name}, version {frozen.version}, {shown.counted(frozen.size, 'item')}, {frozen.digest}")


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InvalidValue(file.name, f"byte {error.start}", "save the file as UTF-8") from error
    except OSError as error:
        raise InvalidValue(str(file), error.strerror or str(error), "give a .jsonl file to read") from error
