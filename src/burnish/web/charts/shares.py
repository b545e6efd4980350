"""Shares of a whole over time, as stacked areas."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from markupsafe import Markup

from burnish.errors import InvalidValue
from burnish.web.charts.lines import NARROW, Mark
from burnish.web.charts.scale import Scale, spanning, spread, ticks
from burnish.web.charts.svg import TEXT, drawing, element, label, path, room_for, toned


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the whole: its share at every position."""

    label: str
    shares: Sequence[float]
    tone: str


def share_chart(
    title: str,
    desc: str,
    positions: Sequence[float],
    layers: Sequence[Layer],
    *,
    width: float = 720,
    height: float = 260,
    marks: Sequence[Mark] = (),
    x_label: str = "",
    x_shown: Callable[[float], str] = "{:,.0f}".format,
) -> Markup:
    """Draw layers from the bottom up. Shares are scaled to add up to one at each position.

    Raises:
        InvalidValue: A layer has another number of shares than there are positions.
    """
    for layer in layers:
        if len(layer.shares) != len(positions):
            raise InvalidValue(layer.label, len(layer.shares), f"give {len(positions)} shares, one a position")
    narrow = width < NARROW
    right = 12.0 if narrow else 24.0 + room_for([layer.label for layer in layers], 190.0)
    head = 12.0 + 15.0 * len(marks)
    legend = 18.0 * len(layers) if narrow else 0.0
    across = spanning(positions, 40.0, width - right)
    up = Scale(low=0.0, high=1.0, start=height - 40, end=head)
    edges = _edges(layers, len(positions))
    parts = [
        *(_area(layer, across, up, positions, edges[k], edges[k + 1]) for k, layer in enumerate(layers)),
        *_axes(across, up, x_label, x_shown),
        *(part for k, mark in enumerate(marks) for part in _mark(mark, across, up, 11.0 + 15.0 * k)),
        *(_legend(layers, height) if narrow else _labels(layers, across, up, edges)),
    ]
    return drawing(title, desc, width, height + legend, parts, "shares")


def _edges(layers: Sequence[Layer], count: int) -> list[list[float]]:
    """Return the cumulative shares below each layer, and above the last."""
    totals = [sum(layer.shares[i] for layer in layers) or 1.0 for i in range(count)]
    edges = [[0.0] * count]
    for layer in layers:
        edges.append([edges[-1][i] + layer.shares[i] / totals[i] for i in range(count)])
    return edges


def _area(
    layer: Layer, across: Scale, up: Scale, positions: Sequence[float], below: list[float], above: list[float]
) -> Markup:
    upper = [(across(x), up(y)) for x, y in zip(positions, above, strict=True)]
    lower = [(across(x), up(y)) for x, y in zip(positions, below, strict=True)]
    outline = path([*upper, *reversed(lower)], close=True) if positions else "M0 0"
    return element("path", element("title", layer.label), d=outline, class_=toned("area", layer.tone))


def _axes(across: Scale, up: Scale, x_label: str, x_shown: Callable[[float], str]) -> list[Markup]:
    parts = [label(f"{tick:.0%}", across.start - 8, up(tick) + 4, at="end") for tick in (0.0, 0.5, 1.0)]
    most = 4 if across.end - across.start < NARROW else 8
    parts += [label(x_shown(x), across(x), up.start + 18, at="middle") for x in ticks(across.low, across.high, most)]
    if x_label:
        parts.append(label(x_label, across.end, up.start + 34, at="end"))
    return parts


def _mark(mark: Mark, across: Scale, up: Scale, y: float) -> list[Markup]:
    x = across(mark.x)
    late = x > (across.start + across.end) / 2
    return [
        element("path", d=path([(x, y - 8), (x, up.start)]), class_=toned("mark", mark.tone)),
        label(mark.label, x - 6 if late else x + 6, y, tone=mark.tone, at="end" if late else "start"),
    ]


def _labels(layers: Sequence[Layer], across: Scale, up: Scale, edges: list[list[float]]) -> list[Markup]:
    """Name each layer at its right end, at the middle of its last share."""
    if not edges[0]:
        return []
    middles = [up((edges[k][-1] + edges[k + 1][-1]) / 2) + 4 for k in range(len(layers))]
    heights = spread(middles, 16.0, up.end, up.start)
    parts = []
    for layer, y in zip(layers, heights, strict=True):
        parts.append(_swatch(across.end + 8, y, layer.tone))
        parts.append(label(layer.label, across.end + 22, y, room=190.0, tone="ink"))
    return parts


def _legend(layers: Sequence[Layer], top: float) -> list[Markup]:
    parts = []
    for k, layer in enumerate(reversed(layers)):
        y = top + TEXT + 18.0 * k
        parts += [_swatch(2, y, layer.tone), label(layer.label, 18, y, tone="ink")]
    return parts


def _swatch(x: float, y: float, tone: str) -> Markup:
    return element("rect", x=x, y=y - 9, width=9, height=9, rx=2, class_=toned("area", tone))
