"""Charts as SVG text, drawn from records on the server.

Same records, same bytes. No script, no font, no colour of their own: every mark takes its colour from a tone, which the
page's stylesheet (`burnish/web/tokens.css`) defines for light and for dark. Each chart is an image with a title and a
description for those who do not see it. A width is given in CSS pixels; draw a chart again for a narrow screen rather
than scaling its text down.
"""

from __future__ import annotations

from burnish.web.charts.lines import Mark, Point, Rule, Series, line_chart, sparkline
from burnish.web.charts.rows import Bar, Interval, bars, forest
from burnish.web.charts.shares import Layer, share_chart
from burnish.web.charts.svg import TONES

__all__ = [
    "TONES",
    "Bar",
    "Interval",
    "Layer",
    "Mark",
    "Point",
    "Rule",
    "Series",
    "bars",
    "forest",
    "line_chart",
    "share_chart",
    "sparkline",
]
