"""Charts: what the record says is in the drawing, the drawing is an image with words, and hostile text stays text."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from markupsafe import Markup

from burnish.errors import InvalidValue
from burnish.web.charts import (
    TONES,
    Bar,
    Interval,
    Layer,
    Mark,
    Point,
    Rule,
    Series,
    bars,
    forest,
    line_chart,
    share_chart,
    sparkline,
)
from burnish.web.charts.scale import spread, ticks

NAMESPACE = "{http://www.w3.org/2000/svg}"
EVIL = '"><script>alert(1)</script>&'


def line(name: str = "ours", width: float = 720) -> Markup:
    banded = [Point(x, x * 0.1, x * 0.1 - 0.05, x * 0.1 + 0.05) for x in range(5)]
    series = [Series(label=name, points=banded), Series(label="other", points=[Point(0, 0), Point(4, 1)], dashed=True)]
    rules = [Rule(label="best", y=0.3)]
    return line_chart(f"Rise of {name}", "It rises.", series, width=width, rules=rules, marks=[Mark(x=2, label="now")])


def dots(name: str = "ours", width: float = 720) -> Markup:
    rows = [
        Interval(label=name, value=0.5, low=0.4, high=0.6, truth=0.55, note="80%"),
        Interval(label="b", value=1, low=0.9, high=1),
    ]
    return forest(f"Success of {name}", "Half.", rows, width=width)


def shares(name: str = "ours", width: float = 720) -> Markup:
    layers = [Layer(label=name, shares=[1, 2, 3], tone="accent"), Layer(label="b", shares=[3, 2, 1], tone="s2")]
    return share_chart(
        f"Traffic of {name}", "It moves.", [0, 1, 2], layers, width=width, marks=[Mark(x=1, label="here")]
    )


def columns(name: str = "ours", width: float = 720) -> Markup:
    return bars(
        f"Cost of {name}",
        "Little.",
        [Bar(label=name, value=2, shown="$2"), Bar(label="b", value=1, shown="$1")],
        width=width,
    )


def small(name: str = "ours", width: float = 96) -> Markup:
    return sparkline(name, [1, 3, 2], width=width)


DRAWINGS: list[Callable[..., Markup]] = [line, dots, shares, columns, small]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_chart_is_an_image_with_a_title_and_a_description(draw: Callable[..., Markup]) -> None:
    root = ET.fromstring(draw())
    assert root.tag == f"{NAMESPACE}svg"
    assert root.get("role") == "img"
    assert [child.tag for child in root][:2] == [f"{NAMESPACE}title", f"{NAMESPACE}desc"]
    assert root[0].text
    assert root[1].text


@pytest.mark.parametrize("draw", DRAWINGS)
def test_the_same_record_gives_the_same_bytes(draw: Callable[..., Markup]) -> None:
    assert draw() == draw()


@pytest.mark.parametrize("draw", DRAWINGS)
@pytest.mark.parametrize("width", [340, 720])
def test_hostile_text_stays_text(draw: Callable[..., Markup], width: float) -> None:
    drawn = draw(EVIL, width)
    assert "<script" not in drawn
    texts = "".join(ET.fromstring(drawn).itertext())
    assert EVIL in texts


@pytest.mark.parametrize("draw", DRAWINGS)
def test_colours_come_from_the_page(draw: Callable[..., Markup]) -> None:
    drawn = draw()
    assert not re.search(r"#[0-9a-f]{3}|rgb|style=|url\(", drawn)
    assert set(re.findall(r"\bt-(\w+)", drawn)) <= set(TONES)


def test_the_points_of_a_line_are_in_its_path() -> None:
    root = ET.fromstring(line())
    paths = [e.get("d", "") for e in root.iter(f"{NAMESPACE}path") if (e.get("class") or "").startswith("line")]
    assert [path.count(" L") + 1 for path in paths] == [5, 2]
    heights = [float(y) for y in re.findall(r"[\d.]+ ([\d.]+)", paths[0])]
    assert all(later < earlier for earlier, later in pairwise(heights))
    assert len([e for e in root.iter(f"{NAMESPACE}path") if (e.get("class") or "").startswith("band")]) == 1


def test_whiskers_span_the_interval_and_hold_the_dot() -> None:
    root = ET.fromstring(dots())
    whisker = next(e.get("d", "") for e in root.iter(f"{NAMESPACE}path") if "whisker" in (e.get("class") or ""))
    start, end = (float(x) for x in re.findall(r"[ML]([\d.]+) ", whisker))
    dot = float(next(e.get("cx", "0") for e in root.iter(f"{NAMESPACE}circle")))
    assert dot == pytest.approx((start + end) / 2, abs=0.02)


def test_bars_are_as_long_as_their_values() -> None:
    root = ET.fromstring(columns())
    first, second = (float(e.get("width", "0")) for e in root.iter(f"{NAMESPACE}rect"))
    assert first == pytest.approx(2 * second, abs=0.02)


def test_shares_fill_the_whole_height_at_every_position() -> None:
    root = ET.fromstring(shares())
    areas = [e.get("d", "") for e in root.iter(f"{NAMESPACE}path") if "area" in (e.get("class") or "")]
    lower, upper = ([tuple(map(float, p)) for p in re.findall(r"([\d.]+) ([\d.]+)", area)] for area in areas)
    assert lower[:3] == list(reversed(upper[3:]))
    assert len({y for _, y in lower[3:]}) == 1
    assert len({y for _, y in upper[:3]}) == 1


def test_nothing_to_draw_is_drawn_as_nothing() -> None:
    for drawn in (
        sparkline("none", []),
        line_chart("none", "", []),
        forest("none", "", []),
        bars("none", "", []),
        share_chart("none", "", [], []),
    ):
        ET.fromstring(drawn)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InvalidValue, match="finite"):
        sparkline("x", [1.0, float("nan")])
    with pytest.raises(InvalidValue, match="tone"):
        sparkline("x", [1.0], tone="mauve")
    with pytest.raises(InvalidValue, match="2 shares"):
        share_chart("x", "", [0, 1], [Layer(label="a", shares=[1], tone="s1")])


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.68, 0.78), (-3, 420), (1e-9, 2e-9), (5, 5)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high, 5)
    assert 1 <= len(found) <= 7
    assert all(low - 1e-12 <= tick <= high + 1e-12 for tick in found)


def test_labels_are_spread_apart_and_stay_in_place_where_they_can() -> None:
    assert spread([10, 50], 15, 0, 100) == [10, 50]
    crowded = spread([99, 98, 97], 15, 0, 100)
    assert sorted(crowded) == [70, 85, 100]
    assert crowded == sorted(crowded, reverse=True)
