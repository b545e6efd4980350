"""`burnish experiments`: how policies were made, and how often that was worth it."""

from __future__ import annotations

from collections.abc import Sequence

import click
import msgspec

from burnish.cli import shown
from burnish.cli.options import Where, as_json, located, of_agent, reading
from burnish.propose import experiments
from burnish.propose.experiments import KINDS, STATUSES, Experiment, SuccessRate


class Registry(msgspec.Struct, frozen=True, kw_only=True):
    """The newest experiments, and how those of each kind ended."""

    experiments: Sequence[Experiment]
    success_rates: Sequence[SuccessRate]


@click.group()
def command() -> None:
    """Show the experiments that made policies."""


@command.command("list")
@of_agent
@click.option("--kind", type=click.Choice(KINDS), help="Only this kind.")
@click.option("--status", type=click.Choice(STATUSES), help="Only those that stand so.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, metavar="N", help="How many.")
@as_json
@located
def list_(*, agent: str | None, kind: str | None, status: str | None, limit: int, as_json: bool, where: Where) -> None:
    """List the newest experiments, and how often each kind lowered the loss."""
    with reading(where) as loop, loop.store.read() as connection:
        tenant = loop.settings.tenant
        found = Registry(
            experiments=experiments.list_experiments(
                connection, tenant=tenant, agent=agent, kind=kind, status=status, limit=limit
            ),
            success_rates=experiments.success_rates(connection, tenant=tenant, agent=agent),
        )
    if as_json:
        shown.print_json(found)
        return
    columns = ("experiment!", "begun", "agent", "kind", "status", "change in loss>", "stability>", "cost>", "took>")
    shown.table(columns, [_row(one) for one in found.experiments], empty="no experiments yet")
    if found.success_rates:
        shown.title("How they ended")
        ends = ("kind", "running>", "finished>", "failed>", "improved>", "success>", "mean change>", "cost>")
        shown.table(ends, [_rate(one) for one in found.success_rates])


@command.command("show")
@click.argument("experiment")
@as_json
@located
def show(*, experiment: str, as_json: bool, where: Where) -> None:
    """Show one experiment, by its id."""
    with reading(where) as loop, loop.store.read() as connection:
        found = experiments.get(connection, experiment, tenant=loop.settings.tenant)
    if as_json:
        shown.print_json(found)
        return
    shown.line(f"{found.kind} for {found.agent} {found.task_type}".rstrip() + f": {found.status}")
    shown.line(f"policy {found.policy or 'none'}")
    losses = f"loss {shown.share(found.loss_before)} before, {shown.share(found.loss_after)} after"
    shown.line(f"{losses}, {shown.change(found.loss_delta)}; stability {shown.share(found.stability)}")
    shown.line(f"cost {shown.money(found.cost_usd)}, took {shown.seconds(found.duration_s)}")
    if found.note:
        shown.line(found.note)
    if found.configuration:
        shown.line(f"configuration {shown.plain(found.configuration)}")
    if found.seeds:
        rows = [(str(one.seed), shown.share(one.before), shown.share(one.after)) for one in found.seeds]
        shown.table(("seed>", "loss before>", "loss after>"), rows)


def _row(one: Experiment) -> tuple[str, ...]:
    return (
        one.id,
        shown.when(one.created_at),
        one.agent,
        one.kind.replace("_", " "),
        one.status,
        shown.change(one.loss_delta),
        shown.share(one.stability),
        shown.money(one.cost_usd),
        shown.seconds(one.duration_s),
    )


def _rate(one: SuccessRate) -> tuple[str, ...]:
    counts = (f"{count:,}" for count in (one.running, one.finished, one.failed, one.improved))
    rate = shown.NOTHING if one.rate is None else f"{one.rate:.0%}"
    return one.kind.replace("_", " "), *counts, rate, shown.change(one.mean_delta), shown.money(one.cost_usd)
