"""What the gate ablation found: records, bars, the page and the chart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.resources import files
from statistics import fmean
from typing import Literal, TypeAlias

import msgspec

from burnish.web.charts import Point, Rule, Series, line_chart

LAST = 5
"""Nights whose mean stands for the end."""

MOST_LOST = 1.0
"""Points that the gated line may lose at most, on any night of any seed."""

COLLAPSE = 10.0
"""Points by which the ungated line has to end below the gated one, lest the proposers were harmless."""

STAGES = ("replay", "shadow", "canary", "active")

Measured: TypeAlias = Literal["success", "utility"]


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy is worth on the held-out tasks, exactly: share of tasks solved, and less its cost."""

    success: float
    utility: float


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """One seed."""

    seed: int
    runs: int
    """Through the gated line."""
    rollbacks: int
    """Of promoted policies, by the hold-back."""
    ends: Sequence[tuple[str, str, int]]
    """Kind of proposal, the gate at which it ended, how many."""
    course: Mapping[str, Sequence[Worth]]
    """Line → the policy in charge at the end of each night."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """All seeds."""

    nights: int
    training_tasks: int
    held_out_tasks: int
    start: Worth
    start_model: str
    seeds: Sequence[Played]


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A figure in points, and what it has to be."""

    what: str
    found: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Tell whether the figure is on the right side."""
        return self.found >= self.limit if self.at_least else self.found <= self.limit


def bars(result: Result) -> list[Bar]:
    """Return the bars with what was found."""
    found = []
    for measured in ("success", "utility"):
        lost = below_start(result, "gated", measured)
        found.append(Bar(what=f"gated: most {measured} lost since the start", found=lost, limit=MOST_LOST))
        fallen = below_best(result, "gated", measured)
        found.append(Bar(what=f"gated: most {measured} lost since its best night", found=fallen, limit=MOST_LOST))
    gap = 100 * (ending(result, "gated", "success") - ending(result, "ungated", "success"))
    found.append(Bar(what="ungated: success below gated at the end", found=gap, limit=COLLAPSE, at_least=True))
    return found


def values(result: Result, line: str, measured: str) -> list[list[float]]:
    """Return a line's course, one list a seed; the start is its first value."""
    start = getattr(result.start, measured)
    return [[start, *(getattr(worth, measured) for worth in one.course[line])] for one in result.seeds]


def below_start(result: Result, line: str, measured: str) -> float:
    """Return the points below the start on the worst night of any seed; 0 when it never was below."""
    return max(100 * (course[0] - min(course)) for course in values(result, line, measured))


def below_best(result: Result, line: str, measured: str) -> float:
    """Return the points below the best night so far, on the worst night of any seed."""
    return max(
        100 * (max(course[: n + 1]) - v) for course in values(result, line, measured) for n, v in enumerate(course)
    )


def ending(result: Result, line: str, measured: str) -> float:
    """Return the mean over the seeds and their last nights."""
    return fmean(fmean(course[1:][-LAST:]) for course in values(result, line, measured))


def report(result: Result, how: str) -> str:
    """Return the page."""
    return "\n".join(
        [
            "# The gates, ablated",
            "",
            how,
            "",
            _about(result),
            "",
            "## Bars",
            "",
            "| worst of all nights and seeds, in points | bar | measured | met |",
            "|---|---|---|---|",
            *map(_bar, bars(result)),
            "",
            "## Lines",
            "",
            _ending(result),
            "",
            (
                "| line | success at the end | lost since the start | since its best | utility at the end "
                "| lost since the start | since its best |"
            ),
            "|---|---|---|---|---|---|---|",
            *(_line(result, line) for line in result.seeds[0].course),
            "",
            "## Where the proposals of the gated line ended",
            "",
            f"| proposal | {' | '.join(f'stopped by {stage}' for stage in STAGES[:3])} | put in charge |",
            "|---|---|---|---|---|",
            *_ends(result),
            "",
            _totals(result),
            "",
        ]
    )


def _about(result: Result) -> str:
    return (
        f"{len(result.seeds)} seeds of {result.nights} nights on the OpenHands matrix: {result.training_tasks} tasks "
        f"to propose, replay and serve with, {result.held_out_tasks} held out. Each night five proposals: adversarial, "
        "noisy, memorised, time bomb, honest; all lines get the same ones. Figures are exact values of the policy in "
        f"charge on the held-out tasks; it starts with {result.start_model} for everything, success "
        f"{result.start.success:.1%}, utility {result.start.utility:.3f} (success less .1 a dollar). A point is .01."
    )


def _bar(bar: Bar) -> str:
    sign, met = "≥" if bar.at_least else "≤", "yes" if bar.met else "**no**"
    return f"| {bar.what} | {sign} {bar.limit:g} | {bar.found:.2f} | {met} |"


def _ending(result: Result) -> str:
    return (
        f"At the end is the mean over seeds and the last {min(LAST, result.nights)} nights; lost is the worst night of "
        "any seed, in points."
    )


def _totals(result: Result) -> str:
    rollbacks, runs = (sum(getattr(one, name) for one in result.seeds) for name in ("rollbacks", "runs"))
    return f"The hold-back rolled back {rollbacks} of them later. {runs:,} runs in all."


def _line(result: Result, line: str) -> str:
    cells = [line]
    for measured in ("success", "utility"):
        cells += [
            f"{ending(result, line, measured):.3f}",
            f"{below_start(result, line, measured):.1f}",
            f"{below_best(result, line, measured):.1f}",
        ]
    return f"| {' | '.join(cells)} |"


def _ends(result: Result) -> list[str]:
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for one in result.seeds:
        for kind, at, count in one.ends:
            counts[kind][at] = counts[kind].get(at, 0) + count
    return [
        f"| {kind} | {' | '.join(str(found.get(s, 0)) for s in STAGES)} |" for kind, found in sorted(counts.items())
    ]


def chart(result: Result) -> str:
    """Return the chart as an SVG file that brings its own stylesheet."""
    tones = {"ungated": "bad", "replay alone": "s2", "peeked t-test": "s3", "gated": "accent"}
    series = []
    for line, tone in tones.items():
        nights = list(zip(*values(result, line, "success"), strict=True))
        banded = line == "gated"
        points = [
            Point(n, fmean(found), min(found) if banded else None, max(found) if banded else None)
            for n, found in enumerate(nights)
        ]
        series.append(Series(label=line, points=points, tone=tone, dashed=tone.startswith("s")))
    drawn = line_chart(
        "Held-out tasks solved by the policy in charge, night by night",
        f"Gated ends at {ending(result, 'gated', 'success'):.1%} and is never more than "
        f"{below_start(result, 'gated', 'success'):.1f} points below the start; ungated ends at "
        f"{ending(result, 'ungated', 'success'):.1%}.",
        series,
        height=320,
        rules=[Rule(label="start", y=result.start.success, tone="ink")],
        x_label="night",
        y_shown="{:.0%}".format,
    )
    tokens = files("burnish.web").joinpath("tokens.css").read_text(encoding="utf-8")
    return str(drawn).replace("<title>", f"<style><![CDATA[\n{tokens}]]></style><title>", 1) + "\n"
