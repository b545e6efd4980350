"""`burnish db`: the store itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from burnish.cli import shown
from burnish.cli.options import Where, as_json, located, require_store, writing
from burnish.store import migrate
from burnish.store.opening import open_store
from burnish.store.store import Store
from burnish.store.verify import Issue, verify as compare
from burnish.store.version import current_version


@click.group()
def command() -> None:
    """Create, move, verify and fill the store."""


@command.command("upgrade")
@click.argument("version", default="head")
@located
def upgrade(*, version: str, where: Where) -> None:
    """Create the tables, or move them up to VERSION [default: that of this release]."""
    with _store(where) as store:
        _moved(store, migrate.upgrade(store, version))


@command.command("downgrade")
@click.argument("version", default="-1")
@click.option("--yes", is_flag=True, help="Do not ask.")
@located
def downgrade(*, version: str, yes: bool, where: Where) -> None:
    """Move the tables down to VERSION [default: one version]; `base` removes them all, with what is in them."""
    with _store(where) as store:
        require_store(store)
        if not yes and sys.stdin.isatty():
            click.confirm(f"Data in tables that {version} does not have will be lost. Go on?", abort=True)
        _moved(store, migrate.downgrade(store, version))


@command.command("verify")
@as_json
@located
@click.pass_context
def verify(ctx: click.Context, *, as_json: bool, where: Where) -> None:
    """Compare every table, column, key, constraint and index with the declared schema; exit 1 if any differs."""
    with _store(where) as store:
        require_store(store)
        found = compare(store)
    if as_json:
        shown.print_json(found)
    else:
        for issue in found.issues:
            _issue(issue)
        click.echo(found.summary)
    if found.issues:
        ctx.exit(1)


@command.command("drain")
@located
def drain(*, where: Where) -> None:
    """Write the runs that wait in the spool, now that the store is back."""
    with writing(where) as loop:
        drained = loop.recorder.drain()
    click.echo(f"{shown.counted(drained, 'record')} written from the spool")


@contextmanager
def _store(where: Where) -> Iterator[Store]:
    store = open_store(where.settings().url)
    try:
        yield store
    finally:
        store.close()


def _moved(store: Store, before: str | None) -> None:
    with store.read() as connection:
        after = current_version(connection)
    was = "" if after == before else f" (was {before or 'none'})"
    click.echo(f"{store.url}: schema {after or 'none'}{was}")


def _issue(issue: Issue) -> None:
    click.echo(shown.safe(issue.what))
    for name, value in (("found", issue.found), ("declared", issue.declared)):
        if value not in {None, "table"}:
            click.echo(f"  {name}: {shown.safe(str(value))}")
    click.echo(f"  remedy: {issue.remedy}")
