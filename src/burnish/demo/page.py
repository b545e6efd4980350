"""The report as one HTML file that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files

import jinja2
import msgspec
from markupsafe import Markup

from burnish.demo import trust_report
from burnish.demo.report import Checked, Drift, Learning, Means, Report, TypeLine
from burnish.demo.trust_page import evidence
from burnish.demo.trust_records import Trial
from burnish.testing.world import Reference
from burnish.web.charts import (
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
)

WIDE, NARROW = 720.0, 340.0
RAMP = ("s2", "s4", "s3", "s5", "s1", "s6")

Draw = Callable[[float], Markup]


class Drawn(msgspec.Struct, frozen=True):
    """A chart for a wide and for a narrow screen; the stylesheet shows one of them."""

    wide: Markup
    narrow: Markup


def page(report: Report) -> str:
    """Return the page of a report."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files("burnish.demo").joinpath("page.html").read_text(encoding="utf-8"))
    tokens = files("burnish.web").joinpath("tokens.css").read_text(encoding="utf-8")
    return template.render(
        report=report,
        tokens=Markup(tokens),  # noqa: S704 - our own stylesheet
        rounds=_drawn(partial(_rounds, report.learning)),
        curve=_drawn(partial(_curve, report.learning)),
        types=[(line, _drawn(partial(_known, line))) for line in report.types],
        checked=None if report.checked is None else _checked(report.checked, report.learning),
        traffic=None if report.drift is None else _drawn(partial(_traffic, report.drift)),
        trust_words=trust_report,
        trials=[] if report.trust is None else [(t, _trial(t)) for t in report.trust.trials],
        worth=None if report.drift is None else _drawn(partial(_worth, report.drift)),
    )


def _trial(trial: Trial) -> Drawn | None:
    canary = trial.canary
    return None if canary is None or not canary.evidence else _drawn(partial(evidence, trial.policy, canary))


def _drawn(draw: Draw) -> Drawn:
    return Drawn(draw(WIDE), draw(NARROW))


def _rounds(learning: Learning, width: float) -> Markup:
    references = learning.references
    course = [Point(number, means.utility) for number, means in enumerate(learning.rounds, start=1)]
    rules = [
        Rule(label="oracle per task type", y=references.type_oracle.utility),
        Rule(label="best single model", y=references.best_single.utility, tone="ink"),
        Rule(label="random", y=references.random.utility),
    ]
    return line_chart(
        "Utility a run, round by round",
        f"Burnish goes from {course[0].y:.3f} in the first round to {course[-1].y:.3f} in the last. The best single "
        f"model is at {references.best_single.utility:.3f}, the oracle per task type at "
        f"{references.type_oracle.utility:.3f}.",
        [Series(label="Burnish", points=course)],
        width=width,
        height=300,
        rules=rules,
        x_label="round",
        y_shown="{:.2f}".format,
    )


def _curve(learning: Learning, width: float) -> Markup:
    gain = [Point(point.run, point.gain) for point in learning.curve]
    oracle = [Point(point.run, point.oracle) for point in learning.curve]
    return line_chart(
        "Gained over the best single model since the first run",
        f"After {learning.curve[-1].run:,} runs Burnish has gained {learning.curve[-1].gain:+.0f} solved tasks on the "
        f"best single model, all exploration paid; the oracle per task type {learning.curve[-1].oracle:+.0f}.",
        [
            Series(label="oracle per task type", points=oracle, tone="grey", dashed=True),
            Series(label="Burnish", points=gain),
        ],
        width=width,
        height=280,
        rules=[Rule(label="best single model", y=0.0, tone="ink")],
        x_label="runs",
        y_shown="{:+,.0f}".format,
    )


def _known(line: TypeLine, width: float) -> Markup:
    rows = [
        Interval(
            label=model.model,
            value=model.quality,
            low=model.low,
            high=model.high,
            truth=model.true_quality,
            note=f"{model.share:.0%}",
            tone="accent" if place == 0 else "grey",
        )
        for place, model in enumerate(line.models)
    ]
    return forest(
        f"Expected success on {line.task_type}, with 95 % intervals",
        f"{rows[0].label} gets most of the traffic: expected {rows[0].value:.2f}, from {rows[0].low:.2f} to "
        f"{rows[0].high:.2f}; its true rate is {line.models[0].true_quality:.2f}.",
        rows,
        width=width,
        shown="{:.0%}".format,
    )


def _checked(checked: Checked, learning: Learning) -> dict[str, Drawn]:
    single = learning.references.best_single
    rows: list[tuple[str, Means | Reference, str]] = [
        ("Burnish with fallbacks", checked.means, "accent"),
        (checked.strongest.name, checked.strongest, "s3"),
        (f"always {next(iter(single.models.values()))}", single, "s3"),
    ]
    success = [Bar(label=n, value=v.success, shown=f"{v.success:.1%}", tone=tone) for n, v, tone in rows]
    cost = [Bar(label=n, value=v.cost_usd, shown=f"${v.cost_usd:.3f}", tone=tone) for n, v, tone in rows]
    return {
        "Tasks solved": _drawn(lambda width: bars("Tasks solved", _read(success), success, width=width, most=1.0)),
        "Cost of a run": _drawn(lambda width: bars("Cost of a run", _read(cost), cost, width=width)),
    }


def _traffic(drift: Drift, width: float) -> Markup:
    others = sorted((m for m in drift.shares if m != drift.model), key=lambda m: (-drift.shares[m][-1], m))
    tones = {drift.model: "bad", **{m: "accent" if not k else RAMP[(k - 1) % 6] for k, m in enumerate(others)}}
    layers = [
        Layer(label=m, shares=drift.shares[m], tone=tones[m]) for m in (drift.model, *others) if m in drift.shares
    ]
    marks = [Mark(x=drift.since, label=f"{drift.model} gets worse", tone="ink")]
    if drift.noticed_at is not None:
        marks.append(Mark(x=drift.noticed_at, label=f"noticed after {drift.noticed_after:,} runs", tone="ink"))
    return share_chart(
        "Who gets the traffic",
        f"The share of {drift.model} goes from {drift.share_before:.0%} to {drift.share_after:.0%}.",
        drift.positions,
        layers,
        width=width,
        height=300,
        marks=marks,
        x_label="runs",
    )


def _worth(drift: Drift, width: float) -> Markup:
    rows = [
        Bar(label="Burnish", value=drift.means.utility, shown=f"{drift.means.utility:.3f}", tone="accent"),
        Bar(label="keeping its habits", value=drift.stayed.utility, shown=f"{drift.stayed.utility:.3f}", tone="bad"),
        Bar(label="oracle per task type", value=drift.oracle.utility, shown=f"{drift.oracle.utility:.3f}", tone="s3"),
    ]
    shown = [msgspec.structs.replace(row, value=max(0.0, row.value)) for row in rows]
    return bars("Utility a run after the change", _read(rows), shown, width=width)


def _read(rows: Sequence[Bar]) -> str:
    return "; ".join(f"{row.label}: {row.shown}" for row in rows)
