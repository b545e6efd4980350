"""`burnish canary`: candidates with a growing share of the traffic, and what they have shown."""

from __future__ import annotations

import click

from burnish.cli import canary_shown, shown
from burnish.cli.options import Where, as_json, located, of_agent, reading, writing
from burnish.cli.policy_given import by
from burnish.errors import Ambiguous, InvalidValue, NotFound
from burnish.loop import Loop
from burnish.trial.plan import UNITS, CanaryPlan, Step
from burnish.trial.records import DeploymentRecord
from burnish.trial.report import CanaryReport

PLAN = CanaryPlan()
RAMP = ",".join(f"{step.share:g}:{step.units}" for step in PLAN.ramp)
why = click.option("--reason", required=True, metavar="TEXT", help="Why.")


@click.group()
def command() -> None:
    """Give candidates a growing share of the traffic, and see what they show."""


@command.command("list")
@of_agent
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, metavar="N", help="How many.")
@as_json
@located
def list_(*, agent: str | None, limit: int, as_json: bool, where: Where) -> None:
    """List the newest canaries, and the hold-backs after them."""
    with reading(where) as loop:
        found = [one for one in loop.deployments(agent=agent, limit=1_000) if one.mode != "shadow"][:limit]
    if as_json:
        shown.print_json(found)
        return
    columns = ("canary!", "mode", "agent", "task type", "status", "candidates!", "runs>", "started (UTC)", "reason*")
    empty = "no canaries yet: start one with `burnish canary start POLICY`"
    shown.table(columns, [_row(one) for one in found], empty=empty)


@command.command("start")
@click.argument("policies", nargs=-1, required=True, metavar="POLICY…")
@click.option("--ramp", default=RAMP, show_default=True, metavar="SHARE:RUNS,…", help="Steps of its share.")
@click.option("--n-max", type=int, default=PLAN.n_max, show_default=True, metavar="N", help="Runs after which it ends.")
@click.option("--auto-promote", is_flag=True, help="Put the winner in charge once the evidence is there.")
@click.option("--dry-run", is_flag=True, help="Only say what it would do.")
@click.option("--unit", type=click.Choice(UNITS), default=PLAN.unit, show_default=True, help="What keeps its arm.")
@click.option("--holdback", type=float, default=PLAN.holdback, show_default=True, help="Share kept back after it won.")
@by
@located
def start(
    *,
    policies: tuple[str, ...],
    ramp: str,
    n_max: int,
    auto_promote: bool,
    dry_run: bool,
    unit: str,
    holdback: float,
    by: str,
    where: Where,
) -> None:
    """Give each POLICY that passed its shadow a share of the traffic, beside the one in charge."""
    plan = CanaryPlan(
        ramp=_ramp(ramp), n_max=n_max, auto_promote=auto_promote, dry_run=dry_run, unit=unit, holdback=holdback
    )
    with writing(where) as loop:
        found = loop.start_canary(*policies, plan=plan, by=by)
    shown.line(f"{found.id} {found.status}")


@command.command("report")
@click.argument("canary")
@as_json
@located
def report(*, canary: str, as_json: bool, where: Where) -> None:
    """Show what a canary has found so far, and what that recommends.

    CANARY is its id, its policy's digest, or the beginning of either.
    """
    with reading(where) as loop:
        found = _report(loop, canary)
    if as_json:
        shown.print_json(found)
        return
    canary_shown.show(found)


@command.command("pause")
@click.argument("canary")
@why
@by
@located
def pause(*, canary: str, reason: str, by: str, where: Where) -> None:
    """Assign no more runs; those assigned still count, and may still roll the candidate back."""
    with writing(where) as loop:
        _say(loop.pause_canary(canary, reason=reason, by=by))


@command.command("resume")
@click.argument("canary")
@why
@by
@located
def resume(*, canary: str, reason: str, by: str, where: Where) -> None:
    """Assign runs again after a pause."""
    with writing(where) as loop:
        _say(loop.resume_canary(canary, reason=reason, by=by))


@command.command("abort")
@click.argument("canary")
@why
@by
@located
def abort(*, canary: str, reason: str, by: str, where: Where) -> None:
    """End a canary or hold-back without a finding; its candidates may be tried again."""
    with writing(where) as loop:
        _say(loop.abort_deployment(canary, reason=reason, by=by))


@command.command("monitor")
@located
def monitor(*, where: Where) -> None:
    """Act on what is due now: deadlines that passed, approvals that were given. Running hosts do so every minute."""
    with writing(where) as loop:
        changed = loop.monitor()
    for change in changed:
        shown.line(f"{change.policy} {change.from_status} → {change.to_status}: {change.reason}")
    if not changed:
        shown.line("nothing was due")


def _report(loop: Loop, reference: str) -> CanaryReport:
    try:
        return loop.canary_report(reference)
    except Ambiguous:
        raise
    except NotFound:
        if reference.startswith("sha256:"):
            raise
    try:
        policy = loop.policy(reference)
    except Ambiguous:
        raise
    except NotFound as error:
        raise NotFound("canary", reference, loop.store.url) from error
    return loop.canary_report(policy)


def _ramp(text: str) -> tuple[Step, ...]:
    try:
        pairs = [step.split(":") for step in text.split(",")]
        return tuple(Step(float(share), int(units)) for share, units in pairs)
    except ValueError as error:
        raise InvalidValue("ramp", text, f"write steps as SHARE:RUNS, such as {RAMP}") from error


def _say(found: DeploymentRecord) -> None:
    shown.line(f"{found.id} {found.status}")


def _row(one: DeploymentRecord) -> tuple[str, ...]:
    return (
        one.id,
        one.mode,
        one.agent,
        one.task_type or "all",
        one.status,
        " ".join(digest[:19] for digest in one.candidates),
        f"{one.processed:,}",
        shown.when(one.created_at),
        one.reason or "",
    )
