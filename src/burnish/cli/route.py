"""`burnish route`: where the next run would go."""

from __future__ import annotations

import click

from burnish.act.routing_table import Routing
from burnish.answers import RouteReport
from burnish.cli import shown
from burnish.cli.candidates import candidate_table
from burnish.cli.options import Where, as_json, located, of_agent, reading


@click.command()
@click.argument("task_type")
@of_agent
@as_json
@located
def command(*, task_type: str, agent: str | None, as_json: bool, where: Where) -> None:
    """Show how the next run of a task type would be routed.

    The candidates are the models of `burnish config get route.models`, else those that runs have used.
    """
    with reading(where) as loop:
        found = loop.route(task_type, agent=agent)
    if as_json:
        shown.print_json(found)
        return
    for report in found:
        _report(report)


def _report(report: RouteReport) -> None:
    shown.title(f"Agent {report.agent}, task type {report.task_type}: rule {report.rule}")
    shown.line(f"{report.reason}.")
    candidate_table(report.candidates, report.price_of_cost)
    chain = [f"{c.model} (succeeds with {c.quality:.2f}, {shown.money(c.cost_usd)})" for c in report.fallbacks]
    shown.line(f"if {report.candidates[0].model} fails: {' → '.join(chain) or 'nothing else is worth its cost'}")
    shown.line(f"routing row: {'none' if report.configured is None else row_in_words(report.configured)}")
    spend = report.spend
    month = f", {shown.money(spend.month_spent_usd)} of it in {spend.month}" if spend.month else ""
    shown.line(f"spent: {shown.money(spend.spent_usd)} in {spend.runs:,} runs{month}")


def row_in_words(row: Routing) -> str:
    """Return a routing row as a sentence."""
    flags = [
        *(["flagged for promotion"] if row.promotion_flag else []),
        *(["flagged for demotion review"] if row.demotion_review else []),
    ]
    scores = f"{row.consecutive_low_scores} low and {row.consecutive_high_scores} high scores in a row"
    return ", ".join([f"{row.mode} {row.current_model or ''}".strip(), scores, *flags])
