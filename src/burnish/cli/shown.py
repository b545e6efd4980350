"""How answers look: JSON for programs, tables for people, one format for each kind of number.

Text that came from models or users is printed as it is, but for what a terminal would obey.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 240
NOTHING = "–"
_LONGEST_CELL = 2_000


def print_json(answer: object) -> None:
    """Print an answer as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())


def title(text: str) -> None:
    """Print a heading."""
    _console().print(Text(f"\n{safe(text)}", style="bold"))


def line(text: str) -> None:
    """Print a line of prose."""
    _console().print(Text(safe(text)))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str = "nothing yet") -> None:
    """Print a table; a column whose name ends in `>` is flush right, in `!` never broken, in `*` broken first."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    for name in columns:
        right, whole = name.endswith(">"), not name.endswith("*")
        shown.add_column(name.rstrip(">!*"), justify="right" if right else "left", no_wrap=whole, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(safe(cell)) for cell in row))
    if shown.row_count:
        _console().print(shown)
    else:
        line(empty)


def safe(text: str) -> str:
    """Return text without the control characters that would steer a terminal, and not without end."""
    clipped = text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"
    return "".join(c if c.isprintable() or c == "\n" else " " if c in "\t\r" else "�" for c in clipped)


def money(usd: float | None) -> str:
    """Return dollars: cents at least, four digits of a small amount."""
    if usd is None:
        return NOTHING
    if abs(usd) >= 1 or abs(usd) < 1e-4:
        return f"${usd:,.2f}" if abs(usd) >= 1 or usd == 0 else f"${usd:.1e}"
    digits = 3 - math.floor(math.log10(abs(usd)))
    whole, _, cents = f"{usd:.{digits}f}".rstrip("0").partition(".")
    return f"${whole}.{cents:0<2}"


def seconds(duration: float | None) -> str:
    """Return a duration."""
    if duration is None:
        return NOTHING
    if duration < 1:
        return f"{duration * 1000:.0f} ms"
    return f"{duration:.1f} s" if duration < 100 else f"{duration:,.0f} s"


def share(value: float | None) -> str:
    """Return a number in [0, 1]: a quality, loss or probability."""
    return NOTHING if value is None else f"{value:.3f}"


def change(value: float | None) -> str:
    """Return a difference, with its sign."""
    return NOTHING if value is None else f"{value:+.3f}"


def count(value: float) -> str:
    """Return a number of runs; what earlier epochs still weigh may be a fraction."""
    return f"{value:,.0f}" if math.isclose(value, round(value)) else f"{value:,.1f}"


def counted(number: int, noun: str) -> str:
    """Return a number of things: `1 run`, `2,000 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def verdict(value: bool | None) -> str:
    """Return yes, no or nothing."""
    return NOTHING if value is None else "yes" if value else "no"


def when(moment: datetime) -> str:
    """Return a time in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def plain(value: object) -> str:
    """Return a configured or recorded value as JSON, on one line."""
    return msgspec.json.encode(value).decode()


def adding_up(parts: Sequence[float], total: float, digits: int = 4) -> list[float]:
    """Round parts so that their sum is the rounded total: those that lost most by rounding down are rounded up."""
    unit = 10.0**-digits
    floors = [math.floor(part / unit + 1e-9) for part in parts]
    missing = max(0, round(round(total, digits) / unit) - sum(floors))
    by_loss = sorted(range(len(parts)), key=lambda i: floors[i] - parts[i] / unit)
    for index in by_loss[:missing]:
        floors[index] += 1
    return [floor * unit for floor in floors]


def _console() -> Console:
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)
