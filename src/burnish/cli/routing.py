"""`burnish routing`: the table that says how task types are routed."""

from __future__ import annotations

import click

from burnish.act import routing_table
from burnish.act.routing_table import MODES, Routing
from burnish.cli import shown
from burnish.cli.options import Where, as_json, located, reading, writing


@click.group()
def command() -> None:
    """Show or set how task types are routed."""


@command.command("list")
@as_json
@located
def list_(*, as_json: bool, where: Where) -> None:
    """List the routing rows, with the scores they count and the flags these raised."""
    with reading(where) as loop, loop.store.read() as connection:
        rows = list(routing_table.load(connection, loop.settings.tenant).values())
    if as_json:
        shown.print_json(rows)
        return
    columns = ("task type", "mode", "model", "low in a row>", "high in a row>", "promotion", "demotion", "distillation")
    shown.table(columns, [_row(row) for row in rows], empty="no rows yet: a task type gets one with its first score")


@command.command("set")
@click.argument("task_type")
@click.option(
    "--mode",
    type=click.Choice(MODES),
    required=True,
    help="pinned: always this model. start: this model until a few runs are scored. learned: what was learned.",
)
@click.option("--model", metavar="NAME", help="A model, or a family: opus is the first model with opus in its name.")
@located
def set_(*, task_type: str, mode: str, model: str | None, where: Where) -> None:
    """Set how a task type is routed; its counters start again."""
    with writing(where) as loop:
        loop.set_routing(task_type, mode=mode, model=model)
        configured = loop.router.shared.configuration.get("route.models", loop.settings.tenant)
        known = [*(configured if isinstance(configured, list) else []), *(report.model for report in loop.models())]
    shown.line(f"{task_type}: {mode} {model or ''}".rstrip())
    if model is not None and Routing(task_type=task_type, current_model=model).resolve(known) not in known:
        shown.line(f"note: no model called {model}, or with it in its name, was seen or configured yet")


def _row(row: Routing) -> tuple[str, ...]:
    return (
        row.task_type,
        row.mode,
        row.current_model or shown.NOTHING,
        str(row.consecutive_low_scores),
        str(row.consecutive_high_scores),
        "flagged" if row.promotion_flag else "",
        "to review" if row.demotion_review else "",
        row.distillation_status.replace("_", " "),
    )
