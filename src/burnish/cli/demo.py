"""`burnish demo`: the newcomer's story, on recorded runs, offline and without keys."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
from rich.console import Console

from burnish.demo.page import page
from burnish.demo.performance import Performed, Stage, perform, stage, world_of
from burnish.demo.records import Plan
from burnish.demo.report import Report
from burnish.demo.screen import Screen
from burnish.demo.terminal import farewell, show
from burnish.errors import InvalidValue

PAGE = Path("burnish-demo.html")
QUICK = 3
"""Learning rounds of --quick."""


@click.command()
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Same seed, same report.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Your own matrix, .csv or .csv.gz: task_id, task_type, model, success, cost_usd.",
)
@click.option("--rounds", type=click.IntRange(1, 1000), metavar="N", help="Learning rounds over all tasks.")
@click.option("--price", type=click.FloatRange(0.0), metavar="X", help="Success that one USD is worth. [default: 0.1]")
@click.option("--seeds", type=click.IntRange(1, 1000), default=1, metavar="N", help="Repeat the learning with N seeds.")
@click.option(
    "--store", type=click.Path(path_type=Path), metavar="FOLDER", help="Where the store is made; an empty one."
)
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help=f"The page. [default: {PAGE}]")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON; a page only with --html.")
@click.option("--quick", is_flag=True, help=f"Only {QUICK} learning rounds and one after the change.")
def command(
    *,
    seed: int,
    data: Path | None,
    rounds: int | None,
    price: float | None,
    seeds: int,
    store: Path | None,
    html: Path | None,
    as_json: bool,
    quick: bool,
) -> None:
    """See the loop learn on recorded data, offline and without keys."""
    plan = _plan(seed, rounds, price, quick=quick)
    target = html or (None if as_json else PAGE)
    world, name = world_of(data)
    place = stage(store)
    if target is not None:
        _writable(target)
    console = Console(highlight=False)
    with Screen(console, world, plan, quiet=as_json) as screen:
        done = perform(
            world,
            plan,
            place,
            name=name,
            repeats=seeds,
            watch=screen.watch,
            told=screen.told,
            repeated=screen.repeated(seeds),
        )
    if target is not None:
        target.write_text(page(done.report), encoding="utf-8")
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(done.report), indent=1))
        return
    show(done.report, console)
    farewell(_commands(done, place, data), str(target), console)


def _plan(seed: int, rounds: int | None, price: float | None, *, quick: bool) -> Plan:
    plan = Plan(seed=seed, price=price)
    if quick:
        plan = msgspec.structs.replace(plan, learn_rounds=QUICK, drift_rounds=1)
    return plan if rounds is None else msgspec.structs.replace(plan, learn_rounds=rounds)


def _writable(target: Path) -> None:
    """Find out before the story, not after it, that the page cannot be written."""
    known = target.exists()
    try:
        with target.open("a", encoding="utf-8"):
            pass
        if not known:
            target.unlink()
    except OSError as error:
        raise InvalidValue("--html", str(target), f"{error.strerror}; give a file that can be written") from error


def _commands(done: Performed, place: Stage, data: Path | None) -> list[tuple[str, str]]:
    report = done.report
    own = "" if data is None else f" --data {data}"
    explain = [(f"burnish explain {run_id}{place.option}", why) for run_id, why in done.explained[-3:]]
    return [
        (f"burnish runs{place.option}", "the newest runs"),
        *explain,
        (f"burnish models{place.option}", "what is known of every model"),
        (f"burnish route {report.source.types[-1]}{place.option}", "how its next run would go"),
        *_of_policies(report, place),
        (f"burnish demo{own} --seed {report.plan.seed + 1}", "another order of the same tasks"),
        (f"burnish demo{own} --seeds 20", "mean and standard error over 20 seeds"),
    ]


def _of_policies(report: Report, place: Stage) -> list[tuple[str, str]]:
    if report.trust is None:
        return []
    agent = f" --agent {report.trust.agent}"
    return [
        (f"burnish policy list{agent}{place.option}", "every policy and its status"),
        (f"burnish canary list{agent}{place.option}", "what was tried; `burnish canary report ID` shows the evidence"),
        (f"burnish audit verify{place.option}", "nothing in the log was changed"),
    ]
