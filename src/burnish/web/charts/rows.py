"""Rows to compare: dots with whiskers, and horizontal bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from markupsafe import Markup

from burnish.web.charts.lines import NARROW
from burnish.web.charts.scale import Scale, ticks
from burnish.web.charts.svg import drawing, element, label, path, room_for, toned

Shown = Callable[[float], str]
LINE = 26.0


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate with its interval; `truth` is a tick where the true value is known, `note` stands at the end."""

    label: str
    value: float
    low: float
    high: float
    note: str = ""
    truth: float | None = None
    tone: str = "grey"


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One bar from zero, and what is written after it."""

    label: str
    value: float
    shown: str
    tone: str = "grey"


def forest(
    title: str,
    desc: str,
    rows: Sequence[Interval],
    *,
    width: float = 720,
    low: float = 0.0,
    high: float = 1.0,
    shown: Shown = "{:g}".format,
) -> Markup:
    """Draw one dot with whiskers a row, on a common scale from `low` to `high`."""
    names, notes, line = _layout([row.label for row in rows], [row.note for row in rows], width)
    across = Scale(low=low, high=high, start=names + 8, end=width - notes - 12)
    bottom = line * len(rows) + 6
    parts = []
    for tick in ticks(low, high, 5):
        x = across(tick)
        parts.append(element("path", d=path([(x, 2), (x, bottom)]), class_=toned("grid", "faint")))
        parts.append(label(shown(tick), x, bottom + 16, at="middle"))
    for i, row in enumerate(rows):
        parts += _interval(row, across, line * i, line, width)
    return drawing(title, desc, width, bottom + 22, parts, "forest")


def bars(title: str, desc: str, rows: Sequence[Bar], *, width: float = 720, most: float | None = None) -> Markup:
    """Draw one horizontal bar a row; `most` is the value that fills the width, by default the largest."""
    names, notes, line = _layout([row.label for row in rows], [row.shown for row in rows], width)
    largest = most or max((row.value for row in rows), default=1.0) or 1.0
    across = Scale(low=0.0, high=largest, start=names, end=width - notes - 12)
    parts = []
    for i, row in enumerate(rows):
        top, text_y, height = _row(i, line)
        length = max(1.0, across(row.value) - across.start)
        parts.append(label(row.label, 0, text_y, room=names or width, tone=_text_tone(row.tone)))
        parts.append(
            element("rect", x=across.start, y=top, width=length, height=height, rx=2, class_=toned("bar", row.tone))
        )
        parts.append(label(row.shown, across.start + length + 8, top + height - 3, tone=_text_tone(row.tone)))
    return drawing(title, desc, width, line * len(rows), parts, "bars")


def _interval(row: Interval, across: Scale, top: float, line: float, width: float) -> list[Markup]:
    stacked = line > LINE
    y = top + line - 10 if stacked else top + line / 2
    text_y = top + 15 if stacked else y + 4
    room = width - 60 if stacked else across.start - 12
    tone = _text_tone(row.tone)
    parts = [
        label(row.label, 0, text_y, room=room, tone=tone),
        element("path", d=path([(across(row.low), y), (across(row.high), y)]), class_=toned("whisker", row.tone)),
        element("circle", cx=across(row.value), cy=y, r=4.5, class_=toned("dot", row.tone)),
    ]
    if row.truth is not None:
        x = across(row.truth)
        parts.append(element("path", d=path([(x, y - 8), (x, y + 8)]), class_=toned("truth", "ink")))
    if row.note:
        parts.append(label(row.note, width, text_y, tone=tone, at="end"))
    return parts


def _layout(names: Sequence[str], notes: Sequence[str], width: float) -> tuple[float, float, float]:
    """Return the room for names and for notes, and the height of a row; on a narrow chart names stand above."""
    beside = room_for(notes, 0.3 * width)
    if width < NARROW:
        return 0.0, beside if max(map(len, notes), default=0) <= 8 else 0.0, LINE + 18
    return room_for(names, 0.3 * width) + 12, beside, LINE


def _row(i: int, line: float) -> tuple[float, float, float]:
    """Return the top of a bar, the baseline of its name and the height of the bar."""
    if line > LINE:
        return line * i + 22, line * i + 16, 14.0
    return line * i + 6, line * i + 17, 14.0


def _text_tone(tone: str) -> str:
    return "grey" if tone in {"grey", "faint"} else "ink"
