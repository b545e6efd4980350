"""What many commands share: which store, whose runs, and JSON instead of tables."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from burnish.capture.prices import PriceTable
from burnish.clock import SystemClock
from burnish.errors import InvalidValue
from burnish.ids import UuidV7Source
from burnish.loop import Loop, open as open_loop
from burnish.settings import Settings, load
from burnish.store.opening import open_store
from burnish.store.store import Store

Result = TypeVar("Result")


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """Which store, and whose runs in it; None leaves it to the settings."""

    url: str | None = None
    tenant: str | None = None

    def settings(self) -> Settings:
        """Return the settings in force."""
        return load(overrides={"url": self.url, "tenant": self.tenant})


def located(function: Callable[..., Result]) -> Callable[..., Result]:
    """Add --store and --tenant, which the command receives as `where`."""

    @click.option("--store", metavar="URL", help="Folder, sqlite:///FILE or postgresql://… [default: ./.burnish]")
    @click.option("--tenant", metavar="NAME", help="Whose runs. [default: default]")
    @functools.wraps(function)
    def command(*args: object, store: str | None, tenant: str | None, **options: object) -> Result:
        return function(*args, where=Where(url=store, tenant=tenant), **options)

    return command


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
of_agent = click.option("--agent", metavar="NAME", help="Only this agent.")


@contextmanager
def reading(where: Where) -> Iterator[Loop]:
    """Open the loop of a store that exists, to ask it something. Writes nothing.

    Raises:
        InvalidValue: There is no such store.
        StoreError: The store cannot be read, or its tables are not those of this release.
    """
    with unopened(where) as loop:
        require_store(loop.store)
        loop.store.require_schema()
        with loop.store.read() as connection:
            loop.router.refresh(connection)
        yield loop


@contextmanager
def writing(where: Where) -> Iterator[Loop]:
    """Open the loop of a store that exists, to change something; what is refused is raised.

    Raises:
        InvalidValue: There is no such store.
        StoreError: The store cannot be written, or its tables are not those of this release.
    """
    settings = where.settings()
    require_store(open_store(settings.url))
    with open_loop(settings.url, tenant=settings.tenant, strict=True) as loop:
        yield loop


@contextmanager
def unopened(where: Where) -> Iterator[Loop]:
    """Return the loop without touching its store, for commands that look at what is wrong with it."""
    settings, clock = where.settings(), SystemClock()
    loop = Loop(
        open_store(settings.url), settings=settings, clock=clock, ids=UuidV7Source(clock), prices=PriceTable.load()
    )
    with loop:
        yield loop


def require_store(store: Store) -> None:
    """Check that a store's file is there, so that a question about a wrong folder does not create one.

    Raises:
        InvalidValue: It is not.
    """
    if store.kind == "sqlite" and not file_of(store).is_file():
        raise InvalidValue("store", store.url, "there is none yet: run `burnish init`, or name another with --store")


def file_of(store: Store) -> Path:
    """Return the file of a SQLite store."""
    return Path(store.url.removeprefix("sqlite:///"))
