"""`burnish shadow`: candidates beside the policy in charge, on the same inputs and no traffic of their own."""

from __future__ import annotations

import click

from burnish.cli import shown
from burnish.cli.options import Where, as_json, located, of_agent, reading, writing
from burnish.cli.policy_given import by
from burnish.trial import ledger
from burnish.trial.plan import ShadowPlan
from burnish.trial.shadow_report import ShadowReport, shadow_report

PLAN = ShadowPlan()


@click.group()
def command() -> None:
    """Run candidates beside the policy in charge."""


@command.command("list")
@of_agent
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, metavar="N", help="How many.")
@as_json
@located
def list_(*, agent: str | None, limit: int, as_json: bool, where: Where) -> None:
    """List the newest shadows."""
    with reading(where) as loop:
        deployments = loop.deployments(agent=agent, limit=1_000)
    found = [shadow_report(one) for one in deployments if one.mode == "shadow"][:limit]
    if as_json:
        shown.print_json(found)
        return
    columns = ("shadow!", "agent", "task type", "status", "candidate!", "pairs>", "change>", "passing>", "failing>")
    empty = "no shadows yet: start one with `burnish shadow start POLICY`"
    shown.table(columns, [_row(one) for one in found], empty=empty)


@command.command("start")
@click.argument("policy")
@click.option("--sample", type=float, default=PLAN.sample, show_default=True, help="Share of runs that are shadowed.")
@click.option("--pairs", type=int, default=PLAN.pairs, show_default=True, metavar="N", help="Most pairs.")
@click.option("--budget", type=float, metavar="USD", help="What the candidate's side may cost. [default: no limit]")
@click.option("--margin", type=float, default=PLAN.margin, show_default=True, help="Loss it may be worse by and pass.")
@by
@located
def start(
    *, policy: str, sample: float, pairs: int, budget: float | None, margin: float, by: str, where: Where
) -> None:
    """Start the shadow of a policy that passed its replay.

    Hosts that called loop.shadow_with() for the agent fill it.
    """
    plan = ShadowPlan(sample=sample, pairs=pairs, budget_usd=budget, margin=margin)
    with writing(where) as loop:
        found = loop.start_shadow(policy, plan, by=by)
    shown.line(f"{found.id} {found.status}")


@command.command("show")
@click.argument("shadow")
@as_json
@located
def show(*, shadow: str, as_json: bool, where: Where) -> None:
    """Show what a shadow has found: pairs, evidence, verdict.

    SHADOW is its id, or the beginning of it.
    """
    with reading(where) as loop, loop.store.read() as connection:
        found = shadow_report(
            ledger.find_deployment(connection, shadow, tenant=loop.settings.tenant, where=loop.store.url)
        )
    if as_json:
        shown.print_json(found)
        return
    shown.line(f"{found.id}: {found.status}, agent {found.agent}, {found.task_type or 'every task type'}")
    shown.line(found.words)
    budget = "no limit" if found.budget_usd is None else shown.money(found.budget_usd)
    rows = [
        ("candidate", found.candidate),
        ("control", found.control or "no policy"),
        ("pairs", f"{found.pairs:,} of at most {found.pairs_max:,}, {found.failures:,} failed"),
        ("cost", f"{shown.money(found.spent_usd)} of {budget}"),
        ("change in loss", shown.change(found.delta)),
        ("passing", f"evidence {found.passing:.3g} of {found.pass_at:g}"),
        ("failing", f"evidence {found.failing:.3g} of {found.fail_at:g}"),
    ]
    shown.table(("", "*"), rows)


@command.command("abort")
@click.argument("shadow")
@click.option("--reason", required=True, metavar="TEXT", help="Why.")
@by
@located
def abort(*, shadow: str, reason: str, by: str, where: Where) -> None:
    """End a shadow without a finding; its candidate may be tried again."""
    with writing(where) as loop:
        found = loop.abort_deployment(shadow, reason=reason, by=by)
    shown.line(f"{found.id} {found.status}")


def _row(one: ShadowReport) -> tuple[str, ...]:
    return (
        one.id,
        one.agent,
        one.task_type or "all",
        one.status,
        one.candidate[:19],
        f"{one.pairs:,}",
        shown.change(one.delta),
        f"{one.passing:.3g}",
        f"{one.failing:.3g}",
    )
