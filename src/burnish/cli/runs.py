"""`burnish runs`: the newest runs."""

from __future__ import annotations

import click

from burnish.capture.records import RunRecord
from burnish.cli import shown
from burnish.cli.options import Where, as_json, located, of_agent, reading


@click.command()
@of_agent
@click.option("--task-type", metavar="NAME", help="Only this task type.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@click.option("--before", metavar="RUN", help="Only runs older than this one: the last of the page before.")
@as_json
@located
def command(
    *, agent: str | None, task_type: str | None, limit: int, before: str | None, as_json: bool, where: Where
) -> None:
    """List the newest runs."""
    with reading(where) as loop:
        found = loop.runs(agent=agent, task_type=task_type, before=before, limit=limit)
    if as_json:
        shown.print_json(found)
        return
    columns = ("run!", "started (UTC)", "agent", "task type", "model", "success", "quality>", "loss>", "cost>", "took>")
    shown.table(columns, [_row(run) for run in found], empty="no runs yet: see `burnish init` for an example")
    if len(found) == limit:
        shown.line(f"\nolder: burnish runs --before {found[-1].id}")


def _row(run: RunRecord) -> tuple[str, ...]:
    return (
        run.id,
        shown.when(run.started_at),
        run.agent,
        run.task_type,
        run.model or shown.NOTHING,
        shown.verdict(run.success),
        shown.share(run.quality),
        shown.share(run.loss),
        shown.money(run.cost_usd),
        shown.seconds(run.duration_s),
    )
