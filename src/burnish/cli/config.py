"""`burnish config`: how learning and routing are configured, per tenant, agent and phase."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import click
import msgspec

from burnish.cli import shown
from burnish.cli.options import Where, as_json, located, reading, writing
from burnish.errors import InvalidValue
from burnish.govern.configuration import Configuration
from burnish.govern.keys import KEYS, checked

Result = TypeVar("Result")


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration key, with the value in force for one tenant, agent and phase."""

    key: str
    value: object
    default: object
    meaning: str


class Scope(msgspec.Struct, frozen=True):
    """Which agent and phase; empty means all of them."""

    agent: str
    phase: str


def scoped(function: Callable[..., Result]) -> Callable[..., Result]:
    """Add --agent and --phase, which the command receives as `scope`."""

    @click.option("--agent", metavar="NAME", default="", help="For this agent; all agents otherwise.")
    @click.option("--phase", metavar="NAME", default="", help="For this phase; all phases otherwise.")
    @functools.wraps(function)
    def command(*args: object, agent: str, phase: str, **options: object) -> Result:
        return function(*args, scope=Scope(agent, phase), **options)

    return command


@click.group()
def command() -> None:
    """Show or change the configuration."""


@command.command("list")
@scoped
@as_json
@located
def list_(*, scope: Scope, as_json: bool, where: Where) -> None:
    """List every key with the value in force, its default and its meaning."""
    values = _values(where, scope)
    if as_json:
        shown.print_json(values)
        return
    rows = [(v.key, shown.plain(v.value), shown.plain(v.default), v.meaning) for v in values]
    shown.table(("key!", "value*", "default*", "meaning*"), rows)


@command.command("get")
@click.argument("key")
@scoped
@as_json
@located
def get(*, key: str, scope: Scope, as_json: bool, where: Where) -> None:
    """Print the value of KEY that is in force, as JSON."""
    _require(key)
    value = next(v for v in _values(where, scope) if v.key == key)
    shown.print_json(value) if as_json else click.echo(shown.plain(value.value))


@command.command("set")
@click.argument("key")
@click.argument("value")
@scoped
@located
def set_(*, key: str, value: str, scope: Scope, where: Where) -> None:
    """Set KEY to VALUE, which is JSON: 0.5, null, '["small-model"]', '{"gate_failures": 0.6}'.

    Put -- before a negative number.
    """
    _require(key)
    parsed = _parsed(key, value)
    with writing(where) as loop:
        loop.configure(key, parsed, agent=scope.agent, phase=scope.phase)
    click.echo(f"{key} = {shown.plain(parsed)}")


@command.command("reset")
@click.argument("key")
@scoped
@located
def reset(*, key: str, scope: Scope, where: Where) -> None:
    """Take back what was set for KEY in exactly this scope."""
    _require(key)
    with writing(where) as loop:
        was_set = loop.reset(key, agent=scope.agent, phase=scope.phase)
        value = _in_force(loop.router.shared.configuration, key, loop.settings.tenant, scope)
    click.echo(f"{key} = {shown.plain(value)}" + ("" if was_set else " (it was not set here)"))


def _values(where: Where, scope: Scope) -> list[Value]:
    with reading(where) as loop:
        found, tenant = loop.router.shared.configuration, loop.settings.tenant
    return [
        Value(key=name, value=_in_force(found, name, tenant, scope), default=key.default, meaning=key.meaning)
        for name, key in KEYS.items()
    ]


def _in_force(found: Configuration, key: str, tenant: str, scope: Scope) -> object:
    return found.get(key, tenant, scope.agent, scope.phase)


def _require(key: str) -> None:
    if key not in KEYS:
        checked(key, None)


def _parsed(key: str, value: str) -> object:
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise InvalidValue(key, value, "give JSON: a number, null, '[\"name\"]' or '{\"term\": 0.5}'") from error
