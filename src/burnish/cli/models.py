"""`burnish models`: what was learned."""

from __future__ import annotations

from collections.abc import Sequence

import click
import msgspec

from burnish.answers import ModelReport
from burnish.cli import shown
from burnish.cli.options import Where, as_json, located, of_agent, reading
from burnish.events import DriftAlarm
from burnish.score.ledger import Trend


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned of every model, how each agent's losses move, and the alarms there were."""

    models: Sequence[ModelReport]
    trends: Sequence[Trend]
    alarms: Sequence[DriftAlarm]


@click.command()
@of_agent
@click.option("--task-type", metavar="NAME", help="Only this task type.")
@as_json
@located
def command(*, agent: str | None, task_type: str | None, as_json: bool, where: Where) -> None:
    """Show what was learned of every model, and how losses move."""
    with reading(where) as loop:
        reports = loop.models(agent=agent)
        trends = [trend for trend in loop.trends() if agent in {None, trend.agent}]
        alarms = [alarm for trend in trends for alarm in loop.alarms(agent=trend.agent)]
    reports = [report for report in reports if task_type in {None, report.task_type}]
    found = Learned(models=reports, trends=trends, alarms=alarms)
    if as_json:
        shown.print_json(found)
    else:
        _print(found)


def _print(found: Learned) -> None:
    for agent in dict.fromkeys(report.agent for report in found.models):
        shown.title(f"Agent {agent}")
        _models([report for report in found.models if report.agent == agent])
    if not found.models:
        shown.line("nothing was learned yet: runs need a model and an outcome, a gate or feedback")
    if found.trends:
        shown.title("Loss by agent (lower is better)")
        rows = [
            (t.agent, f"{t.runs:,}", shown.share(t.mean_loss), shown.change(t.change_7d), shown.change(t.change_30d))
            for t in found.trends
        ]
        shown.table(("agent", "runs, 30 days>", "mean loss>", "change, 7 days>", "change, 30 days>"), rows)
    if found.alarms:
        shown.title("Drift alarms")
        rows = [(a.agent, a.model, f"{a.observed:,}", f"{a.evidence:,.0f}", a.run_id) for a in found.alarms]
        shown.table(("agent", "model", "after runs>", "evidence>", "at run!"), rows)


def _models(reports: Sequence[ModelReport]) -> None:
    columns = (
        *("task type", "model", "runs>", "quality>", "95 %", "cost>", "took>", "rating>"),
        *("transport failures>", "drift (alarm at 500)>"),
    )
    shown.table(columns, [_row(report) for report in reports])


def _row(report: ModelReport) -> tuple[str, ...]:
    return (
        report.task_type,
        report.model,
        shown.count(report.runs),
        shown.share(report.quality),
        f"{report.quality_low:.2f}–{report.quality_high:.2f}",
        shown.money(report.cost_usd),
        shown.seconds(report.latency_s),
        shown.NOTHING if report.rating is None else f"{report.rating:.1f}",
        f"{report.transport_failures:,}",
        f"{report.drift_evidence:.1f}" + (f", epoch {report.epoch}" if report.epoch else ""),
    )
