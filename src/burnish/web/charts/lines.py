"""Lines over time: a sparkline without axes, and a chart of several series with interval bands."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from markupsafe import Markup

from burnish.web.charts.scale import Scale, spanning, spread, ticks
from burnish.web.charts.svg import drawing, element, label, path, room_for, toned

NARROW = 480.0
"""Width below which labels go into the chart instead of beside it."""

Shown = Callable[[float], str]


class Point(msgspec.Struct, frozen=True):
    """A value at x, with the interval it lies in when one is known."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One line. Points of which all have an interval are drawn with a band."""

    label: str
    points: Sequence[Point]
    tone: str = "accent"
    dashed: bool = False


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A level to compare with, drawn across the chart."""

    label: str
    y: float
    tone: str = "grey"


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A moment at which something happened."""

    x: float
    label: str
    tone: str = "grey"


def sparkline(
    title: str, values: Sequence[float], *, width: float = 96, height: float = 24, tone: str = "accent"
) -> Markup:
    """Draw the course of a few values, without axes; the latest gets a dot."""
    if not values:
        return drawing(title, "no values yet", width, height, [], "sparkline")
    across = spanning([0, max(1, len(values) - 1)], 3, width - 3)
    up = spanning(values, height - 3, 3)
    course = [(across(i), up(value)) for i, value in enumerate(values)]
    parts = [
        element("path", d=path(course), class_=toned("line", tone)),
        element("circle", cx=course[-1][0], cy=course[-1][1], r=2.5, class_=toned("dot", tone)),
    ]
    return drawing(title, f"{len(values)} values, the latest {values[-1]:.4g}", width, height, parts, "sparkline")


def line_chart(
    title: str,
    desc: str,
    series: Sequence[Series],
    *,
    width: float = 720,
    height: float = 280,
    rules: Sequence[Rule] = (),
    marks: Sequence[Mark] = (),
    x_label: str = "",
    y_shown: Shown = "{:g}".format,
    x_shown: Shown = "{:,.0f}".format,
) -> Markup:
    """Draw series on one pair of axes, each labelled at its end.

    Args:
        title: What the chart shows, in a few words.
        desc: What one would say of it to somebody who does not see it.
        series: The lines, drawn in order; the last lies on top.
        width: In CSS pixels; below 480 the labels stand inside the chart.
        height: In CSS pixels.
        rules: Levels to compare with.
        marks: Moments at which something happened.
        x_label: What the x axis counts.
        y_shown: Writes a value.
        x_shown: Writes a position.
    """
    ends = [*(line.label for line in series if line.points), *(rule.label for rule in rules)]
    right = 12.0 if width < NARROW else 18.0 + room_for(ends, 210.0)
    y_values = [v for line in series for p in line.points for v in (p.y, p.low, p.high) if v is not None]
    up = spanning([*y_values, *(rule.y for rule in rules)], height - 40, 22, slack=0.06)
    y_ticks = ticks(up.low, up.high, 7)
    left = 10.0 + room_for(map(y_shown, y_ticks), 90.0)
    across = spanning([p.x for line in series for p in line.points] or [0, 1], left, width - right)
    parts = [
        *_axes(across, up, y_ticks, x_label, y_shown, x_shown),
        *(_rule(rule, across, up) for rule in rules),
        *(mark for k, m in enumerate(marks) for mark in _mark(m, across, up, 12.0 + 14.0 * (k % 2))),
        *(part for line in series for part in _line(line, across, up)),
        *_end_labels(series, rules, across, up, inside=width < NARROW),
    ]
    return drawing(title, desc, width, height, parts, "line")


def _axes(
    across: Scale, up: Scale, y_ticks: Sequence[float], x_label: str, y_shown: Shown, x_shown: Shown
) -> list[Markup]:
    most = 4 if across.end - across.start < NARROW else 8
    lines = [[(across.start, up(tick)), (across.end, up(tick))] for tick in y_ticks]
    parts = [element("path", d=path(line), class_=toned("grid", "faint")) for line in lines]
    parts += [label(y_shown(tick), across.start - 8, up(tick) + 4, at="end") for tick in y_ticks]
    parts += [label(x_shown(x), across(x), up.start + 18, at="middle") for x in ticks(across.low, across.high, most)]
    if x_label:
        parts.append(label(x_label, across.end, up.start + 34, at="end"))
    return parts


def _rule(rule: Rule, across: Scale, up: Scale) -> Markup:
    ends = [(across.start, up(rule.y)), (across.end, up(rule.y))]
    return element("path", d=path(ends), class_=toned("rule", rule.tone))


def _mark(mark: Mark, across: Scale, up: Scale, y: float) -> list[Markup]:
    x = across(mark.x)
    late = x > (across.start + across.end) / 2
    return [
        element("path", d=path([(x, y + 4), (x, up.start)]), class_=toned("mark", mark.tone)),
        label(mark.label, x - 5 if late else x + 5, y, tone=mark.tone, at="end" if late else "start"),
    ]


def _line(line: Series, across: Scale, up: Scale) -> list[Markup]:
    if not line.points:
        return []
    parts = []
    lower = [(across(p.x), up(p.low)) for p in line.points if p.low is not None]
    upper = [(across(p.x), up(p.high)) for p in line.points if p.high is not None]
    if len(lower) == len(upper) == len(line.points):
        parts.append(element("path", d=path([*upper, *reversed(lower)], close=True), class_=toned("band", line.tone)))
    course = [(across(p.x), up(p.y)) for p in line.points]
    parts.append(element("path", d=path(course), class_=toned("line dashed" if line.dashed else "line", line.tone)))
    parts.append(element("circle", cx=course[-1][0], cy=course[-1][1], r=3.5, class_=toned("dot", line.tone)))
    return parts


def _end_labels(
    series: Sequence[Series], rules: Sequence[Rule], across: Scale, up: Scale, *, inside: bool
) -> list[Markup]:
    found = [(line.label, line.points[-1].y, line.tone) for line in series if line.points]
    found += [(rule.label, rule.y, rule.tone) for rule in rules]
    lift = -7.0 if inside else 4.0
    heights = spread([up(y) + lift for _, y, _ in found], 15.0, up.end, up.start)
    x, at = (across.end, "end") if inside else (across.end + 12, "start")
    room = None if inside else 210.0
    return [label(text, x, y, room=room, tone=tone, at=at) for (text, _, tone), y in zip(found, heights, strict=True)]
