"""`burnish replay`: prove a policy on a recorded matrix of tasks × models, before it touches a user."""

from __future__ import annotations

from pathlib import Path

import click

from burnish.cli import shown
from burnish.cli.options import Where, as_json, located, reading, writing
from burnish.cli.policy_given import given
from burnish.clock import SystemClock
from burnish.curate import goldens
from burnish.curate.goldens import GoldenDataset
from burnish.ids import UuidV7Source
from burnish.propose.policy import Policy
from burnish.testing.replaying import RecordedRunner, items_of, require_known
from burnish.testing.world import RecordedWorld
from burnish.trial import replay_ledger
from burnish.trial.replay import replay
from burnish.trial.replay_record import ReplayReport
from burnish.trial.replay_words import in_words

SHOWN_REGRESSIONS = 10


@click.command()
@click.argument("policy")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The matrix, .csv or .csv.gz: task_id, task_type, model, success, cost_usd.",
)
@click.option(
    "--against",
    metavar="POLICY",
    help="What it would replace. [default: any model at random]",
)
@click.option("--seeds", type=click.IntRange(1, 100), default=3, show_default=True, metavar="N", help="Random seeds.")
@click.option(
    "--workers", type=click.IntRange(1, 256), default=1, show_default=True, metavar="N", help="Calls at once."
)
@click.option(
    "--margin",
    type=click.FloatRange(0.0, 1.0),
    default=0.02,
    show_default=True,
    help="Rise of the mean loss that passes.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0.0, 1.0),
    default=0.1,
    show_default=True,
    help="Rise of one item's loss that is no regression.",
)
@click.option("--budget", type=click.FloatRange(0.0, min_open=True), metavar="USD", help="Budget a task, for the loss.")
@click.option("--goldens", "golden", metavar="NAME", help="A golden dataset of the store, none of which may get worse.")
@click.option("--record", is_flag=True, help="Keep the report in the store.")
@as_json
@located
def command(
    *,
    policy: str,
    data: Path,
    against: str | None,
    seeds: int,
    workers: int,
    margin: float,
    tolerance: float,
    budget: float | None,
    golden: str | None,
    record: bool,
    as_json: bool,
    where: Where,
) -> None:
    """Replay POLICY on recorded outcomes. Exits with 1 when it fails, 3 when nothing is certain.

    POLICY is the digest of one in the store, or a file: an exported policy or the JSON of one. Recorded against the
    policy in charge, a replay that passes opens the way to a shadow.
    """
    world = RecordedWorld.load(data)
    candidate = _policy(policy, world, where)
    baseline = None if against is None else _policy(against, world, where)
    held = None if golden is None else _goldens(golden, where)
    report = replay(
        candidate,
        baseline,
        items_of(world),
        RecordedRunner(world, budget_usd=budget),
        seeds=range(seeds),
        workers=workers,
        margin=margin,
        tolerance=tolerance,
        goldens=held,
        method="recorded",
    )
    if record:
        _keep(report, where)
    if as_json:
        shown.print_json(report)
    else:
        _print(report)
    click.get_current_context().exit({"pass": 0, "fail": 1, "inconclusive": 3}[report.verdict])


def _policy(text: str, world: RecordedWorld, where: Where) -> Policy:
    found = given(text, where)
    require_known(found, world)
    return found


def _goldens(name: str, where: Where) -> GoldenDataset:
    with reading(where) as loop, loop.store.read() as connection:
        return goldens.load(connection, name, tenant=loop.settings.tenant)


def _keep(report: ReplayReport, where: Where) -> None:
    clock = SystemClock()
    with writing(where) as loop, loop.store.write() as connection:
        replay_ledger.record(connection, loop.store.kind, report, ids=UuidV7Source(clock), now=clock.now())


def _print(report: ReplayReport) -> None:
    for sentence in in_words(report):
        shown.line(sentence)
    if report.by_type:
        shown.title("By task type")
        types = [(one.task_type, f"{one.items:,}", shown.change(one.mean_delta)) for one in report.by_type]
        shown.table(("task type", "items>", "change>"), types)
    if report.regressions:
        shown.title(f"Items that got worse ({report.regressed:,})")
        worst = [
            (one.id, one.task_type, shown.share(one.baseline_loss), shown.share(one.candidate_loss))
            for one in report.regressions[:SHOWN_REGRESSIONS]
        ]
        shown.table(("item!", "task type", "loss before>", "loss after>"), worst)
