"""`burnish redact`: see what redaction makes of a text, by the policy of a store or by the default."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TextIO

import click
import msgspec

from burnish.capture.redaction.redactor import Redactor
from burnish.cli import shown
from burnish.cli.options import Where, as_json, file_of, located, reading
from burnish.govern.configuration import Configuration
from burnish.store.opening import open_store


class Found(msgspec.Struct, frozen=True):
    """One finding, its place in characters."""

    kind: str
    start: int
    end: int


@click.command()
@click.argument("file", type=click.File("r", encoding="utf-8", errors="surrogateescape"), default="-")
@as_json
@located
def command(*, file: TextIO, as_json: bool, where: Where) -> None:
    """Print a text as it would be captured: personal data and secrets replaced.

    FILE is read, or standard input. Where there is a store, its policy and its pseudonyms are used; else the default
    policy, with pseudonyms that hold for this call alone. With --json, what was found and where.
    """
    text = file.read().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    settings = where.settings()
    store = open_store(settings.url)
    if store.kind == "sqlite" and not file_of(store).is_file():
        with tempfile.TemporaryDirectory() as folder:
            redactor = Redactor(Path(folder) / "redaction.key", configuration=Configuration, problem=_refuse)
            _show(redactor, text, settings.tenant, as_json=as_json)
        return
    with reading(where) as loop:
        _show(loop.redactor, text, settings.tenant, as_json=as_json)


def _show(redactor: Redactor, text: str, tenant: str, *, as_json: bool) -> None:
    redactor.prepare()
    if as_json:
        shown.print_json(found(redactor, text, tenant))
    else:
        click.echo(redactor.text(text, tenant), nl=False)


def found(redactor: Redactor, text: str, tenant: str) -> list[Found]:
    """Return what would be replaced, its place in characters instead of bytes."""
    data = text.encode("utf-8", "surrogatepass")
    places: list[Found] = []
    done = characters = 0
    for finding in redactor.findings(text, tenant):
        start = characters + _length(data[done : finding.start])
        characters = start + _length(data[finding.start : finding.end])
        done = finding.end
        places.append(Found(finding.kind, start, characters))
    return places


def _length(data: bytes) -> int:
    return len(data.decode("utf-8", "surrogatepass"))


def _refuse(what: str, message: str) -> None:
    raise click.ClickException(f"{what}: {message}")
