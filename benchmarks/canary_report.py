"""Write the canary's figures as a page a person can check: the bars first, then each table."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.canary_bound import fewest_runs
from benchmarks.canary_drift import METHODS
from benchmarks.canary_losses import SHAPES, SPLITS
from burnish.stats.comparison import PROMOTE_AT, ROLLBACK_AT
from burnish.stats.detector import ALARM

D1, WORSE = "D1 agent", (0.02, 0.05, 0.15, 0.30)
Bar = tuple[str, str, str, bool]


def report(results: dict[str, Any]) -> str:
    """Return the page in Markdown."""
    parts = [_head(results["about"]), _bars(results), _decisions(results["decisions"]), _bound(results["bound"])]
    parts += [_categories(results["categories"]), _drift(results["drift"]), _late(results["late_harm"])]
    parts += [_ratio(results["sample_ratio"]), _shadow(results["shadow"]), _tenants(results["tenants"])]
    parts += [_ville(results["ville"]), _costs(results)]
    return "\n\n".join(parts) + "\n"


def _head(about: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    mode = " --quick" if about["quick"] else ""
    return (
        "# The canary gate: operating characteristics\n\n"
        f"{about['date']}; Python {about['python']}, {versions}; {about['cores']} cores, {about['machine']}; "
        f"{about['seconds']:.0f} s.  \nReproduce: `uv run python -m benchmarks.canary{mode}`\n\n"
        "Losses in [0, 1]. D1 agent: 80 % Beta(2, 18), 20 % Beta(18, 2) (mean .26); D2 rare: 10 % bad (mean .18); D3 "
        "binary: 0/1, mean .3. An effect is added to the mean loss through the share of bad ones, so a negative effect "
        "is a better candidate. Every canary is looked at after each run, up to 5,000 runs of both arms together; ramp "
        "is 1/5/10/25/50 % for 250/250/500/1,000/3,000 runs. Promote at evidence 20, roll back at 10, whichever comes "
        "first. Medians count replicates without the decision as later than all others; – is a median beyond 5,000. "
        "The standard error of a rate r over n replicates is √(r(1 − r)/n): .0015 for .05 over 20,000, .005 over 2,000."
    )


def bars(results: dict[str, Any]) -> list[Bar]:
    """Return (what, bar, measured, met) for each acceptance bar."""
    rows = results["decisions"]

    def one(split: str, effect: float) -> dict[str, Any]:
        return next(r for r in rows if (r["shape"], r["split"], r["effect"]) == (D1, split, effect))

    equal = [r for r in rows if r["effect"] == 0.0]
    worse = [r for r in rows if r["effect"] in WORSE]
    ours = [r["methods"]["Burnish"] for r in results["drift"]]
    drifting = [r for r in results["drift"] if r["drift"] != "flat"]
    pooled = min(sum(r["methods"]["Welch, once at 5,000"].values()) for r in drifting)
    boundary = min(sum(r["methods"]["O'Brien–Fleming, 20 looks"].values()) for r in drifting)
    interval = min(sum(r["methods"]["asymptotic CS, pooled"].values()) for r in drifting)
    late = {r["case"]: r for r in results["late_harm"]}
    halves = [late["50 %, equal before"], late["50 %, better before (−.05)"]]
    lost = {r["lost"]: r for r in results["sample_ratio"]}
    pair = next(r for r in results["shadow"] if (r["alike"], r["effect"]) == (0.8, -0.02))
    tenants = [r["per (tenant, day)"] for r in results["tenants"]]
    odd = sum(r["opposite"] + r["disjoint"] for r in results["ville"])
    return [
        _most("False promotion, worst of all shapes and splits", 0.05, max(r["promoted"] for r in equal), ".4f"),
        _most("False rollback, worst of the same", 0.10, max(r["rolled_back"] for r in equal), ".4f"),
        _most("A worse candidate promoted, worst of all", 0.01, max(r["promoted"] for r in worse), ".4f"),
        _most("D1, −.05 at 50 %: median runs to promotion", 900, one("50 %", -0.05)["promoted_median"], ".0f"),
        _most("D1, +.15 at 10 %: median runs to rollback", 340, one("10 %", 0.15)["rolled_back_median"], ".0f"),
        _slowest(rows, "50 %", -0.05, "promoted_median", 900),
        _slowest(rows, "10 %", 0.15, "rolled_back_median", 340),
        _most("D1: mean runs ÷ information bound, worst", 1.5, max(r["ratio"] for r in results["bound"]), ".2f"),
        _most("Ramp + drift: false promotion, worst", 0.05, max(r["promoted"] for r in ours), ".4f"),
        _most("Ramp + drift: false rollback, worst", 0.10, max(r["rolled_back"] for r in ours), ".4f"),
        _least("the same, Welch errs in at least", 0.5, pooled, ".3f"),
        _least("the same, O'Brien–Fleming errs in at least", 0.5, boundary, ".3f"),
        _least("the same, a pooled asymptotic interval errs in at least", 0.5, interval, ".3f"),
        _most("Late +.15 at 50 %: median delay, worse of two", 400, max(r["delay_median"] for r in halves), ".0f"),
        _most("Late harm: false alarms in 5,000 runs, worst", 0.06, _worst_alarm(late), ".4f"),
        _most("Healthy ramp flagged by the sample-ratio check", 0.001, lost[0.0]["flagged"], ".5f"),
        _least("Candidate loses 20 % of its logs: flagged", 0.95, lost[0.2]["flagged"], ".3f"),
        _most("Shadow, −.02 at correlation .8: median pairs", 990, pair["promoted_median"], ".0f"),
        _most("(tenant, day) means: false promotion, worst", 0.05, max(r["promoted"] for r in tenants), ".3f"),
        _most("(tenant, day) means: false rollback, worst", 0.10, max(r["rolled_back"] for r in tenants), ".3f"),
        _most("Replicates in which ville contradicts us", 0, odd, ".0f"),
        _most("Simulator − shipped classes, largest relative", 1e-9, max(results["same"].values()), ".1e"),
        _most("Comparison.update, µs of CPU", 10, results["costs"]["Comparison.update, µs"], ".1f"),
    ]


def _worst_alarm(late: dict[str, dict[str, Any]]) -> float:
    return max(float(row["false_alarms_in_5000"]) for row in late.values())


def _most(what: str, bar: float, value: float | None, form: str) -> Bar:
    """A bar from above; a median that was never reached does not meet it."""
    return what, f"≤ {bar:g}", "never" if value is None else format(value, form), value is not None and value <= bar


def _slowest(rows: list[dict[str, Any]], split: str, effect: float, what: str, bar: float) -> Bar:
    """The same bar for the shape that takes longest, beside what any test at all needs there on average."""
    these = [r for r in rows if (r["split"], r["effect"]) == (split, effect)]
    slowest = max(these, key=lambda r: math.inf if r[what] is None else r[what])
    shape = next(shape for shape in SHAPES if shape.name == slowest["shape"])
    alpha = 1.0 / (PROMOTE_AT if effect < 0.0 else ROLLBACK_AT)
    bound = fewest_runs(shape, effect, SPLITS[split][0], alpha)
    title = f"the slowest shape, {shape.name}, {effect:+.2f} at {split} (bound of the mean for any test: {bound:.0f})"
    return _most(title, bar, slowest[what], ".0f")


def _least(what: str, bar: float, value: float, form: str) -> Bar:
    return what, f"≥ {bar:g}", format(value, form), value >= bar


def _table(title: str, columns: str, rows: list[str]) -> str:
    return f"## {title}\n\n| {columns} |\n|{'---|' * (columns.count('|') + 1)}\n" + "\n".join(rows)


def _bars(results: dict[str, Any]) -> str:
    rows = [f"| {what} | {bar} | {value} | {'yes' if met else '**no**'} |" for what, bar, value, met in bars(results)]
    return _table("Bars", " | bar | measured | met", rows)


def _runs(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def _decisions(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"| {r['shape']} | {r['split']} | {r['effect']:+.2f} | {r['promoted']:.4f} ({_runs(r['promoted_median'])}) "
        f"| {r['rolled_back']:.4f} ({_runs(r['rolled_back_median'])}, {_runs(r['rolled_back_p90'])}) "
        f"| {abs(1 - r['promoted'] - r['rolled_back']):.3f} | {r['candidate_runs']:.0f} | {r['replicates']} |"
        for r in rows
    ]
    columns = (
        "loss | split | effect | promoted (median) | rolled back (median, p90) | held | candidate runs | replicates"
    )
    return _table("Decisions", columns, lines)


def _bound(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"| {'promote' if r['effect'] < 0 else 'roll back'} {r['effect']:+.2f} | {100 * r['p']:.0f} % | {r['alpha']:g} "
        f"| {r['bound']:.0f} | {r['mean']:.0f} ± {r['se']:.0f} | {r['ratio']:.2f} | {r['undecided']:.3f} |"
        for r in rows
    ]
    title = "Against the information bound (D1, one direction, run until decided)"
    return _table(title, "case | split | α | bound, runs | measured mean | ratio | undecided at 60,000", lines)


def _categories(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"| {r['effect']:+.2f} | {'yes' if r['known'] else 'no'} | {_decided(r, 'promoted')} "
        f"| {_decided(r, 'rolled_back')} |"
        for r in rows
    ]
    title = "A mean per task category (D1, 50 %, four categories that explain half of the variance)"
    return _table(title, "effect | category known | promoted (median) | rolled back (median)", lines)


def _drift(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"| {r['shape']} | {r['drift']} | "
        + " | ".join(f"{r['methods'][m]['promoted']:.3f} / {r['methods'][m]['rolled_back']:.3f}" for m in METHODS)
        + f" | {r['replicates']} |"
        for r in rows
    ]
    columns = "loss | share of bad losses | Burnish (α .05 / .10) | " + " | ".join(METHODS[1:]) + " | replicates"
    return _table("Two equal arms under a ramp while traffic drifts: declared better / worse", columns, lines)


def _late(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"| {r['case']} | {r['delay_median']:.0f} ({r['delay_p90']:.0f}) | {r['plain_delay_median']:.0f} "
        f"| {r['false_alarms_in_5000']:.4f} | {r['alarm_before_change']:.4f} | {r['replicates']} |"
        for r in rows
    ]
    columns = (
        "split, effect before | detector: median delay (p90) | plain rollback evidence: median delay "
        "| false alarms in 5,000 runs | alarm before the change | replicates"
    )
    return _table(f"Harm that starts late: +.15 from run 2,000 (D1, detector at {ALARM:,.0f})", columns, lines)


def _ratio(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"| {r['lost']:.0%} | {r['flagged']:.4f} | {_runs(r['median'])} | {r['chi_squared_peeked']:.3f} "
        f"| {r['replicates']} |"
        for r in rows
    ]
    columns = (
        "candidate's units lost | flagged | median run | χ² against the current split, peeked at .001 | replicates"
    )
    return _table("Sample ratio over the ramp (alarm at 1,000)", columns, lines)


def _shadow(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"| {r['alike']:g} | {r['effect']:+.2f} | {r['variance']:.3f} | {_decided(r, 'promoted')} "
        f"| {_decided(r, 'rolled_back')} | {r['replicates']} |"
        for r in rows
    ]
    columns = "correlation | effect | variance of a difference | promoted (median pairs) | rolled back | replicates"
    return _table("Shadow: pairs on the same input (D1, up to 5,000 pairs)", columns, lines)


def _decided(row: dict[str, Any], what: str) -> str:
    return f"{row[what]:.3f} ({_runs(row[what + '_median'])})"


def _tenants(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"| {r['tenants']} | {100 * r['p']:.0f} % | {_both(r['sticky, per run'])} | {_both(r['per (tenant, day)'])} "
        f"| {r['replicates']} |"
        for r in rows
    ]
    title = "Two equal arms, tenants of unlike size and difficulty, 25 days of 200 runs: promoted / rolled back"
    columns = (
        "tenants | split | a tenant keeps its arm, runs counted | arm drawn anew each day, (tenant, day) means counted"
    )
    return _table(title, columns + " | replicates", lines)


def _both(rates: dict[str, float]) -> str:
    return f"{rates['promoted']:.3f} / {rates['rolled_back']:.3f}"


def _ville(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"| {r['effect']:+.2f} | {100 * r['p']:.0f} % | {r['decided']:.2f} ({_runs(r['median'])}) "
        f"| {r['ville_decided']:.2f} ({_runs(r['ville_median'])}) | {r['opposite']} | {r['disjoint']} "
        f"| {r['estimates_apart']:.4f} | {r['replicates']} |"
        for r in rows
    ]
    columns = (
        "effect | split | Burnish decided (median) | ville decided (median) | opposite decisions | disjoint intervals "
        "| estimates apart, at most | replicates"
    )
    return _table("Beside ville's BettingABTest (D1, total α .05, same runs)", columns, lines)


def _costs(results: dict[str, Any]) -> str:
    costs = [f"| {name} | {value:.1f} |" for name, value in results["costs"].items()]
    same = [f"| {name} | {value:.1e} |" for name, value in results["same"].items()]
    title = "Simulator beside the shipped classes, same draws over the ramp: largest relative difference of evidence"
    return f"{_table('Cost (CPU time)', 'step | median', costs)}\n\n{_table(title, 'evidence | difference', same)}"
