"""What one sees while the story runs: a progress bar and a table of the latest round, by task type."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from burnish.demo.records import Plan, Step
from burnish.testing.world import RecordedWorld

EVERY = 120
"""Runs between two pictures."""

USUAL_PRICE = 0.1
"""Quality that one USD is worth unless configured; the live picture needs it before the loop is open."""

ACTS = {"learn": "learning", "check": "with a checker", "drift": "a model got worse"}


class Tally:
    """Counts of one task type in the latest round."""

    def __init__(self) -> None:
        self.runs, self.success, self.cost, self.gain = 0, 0.0, 0.0, 0.0
        self.models: Counter[str] = Counter()


class Screen:
    """Shows the story on a terminal; on anything else, and when quiet, it stays silent."""

    def __init__(self, console: Console, world: RecordedWorld, plan: Plan, *, quiet: bool) -> None:
        self._world, self._price = world, USUAL_PRICE if plan.price is None else plan.price
        self._best = world.references(price=self._price).best_single.models
        self._seen, self._round, self._drawn = 0, 0, 0
        self._tallies: dict[str, Tally] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None, complete_style="yellow", finished_style="yellow"),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            expand=True,
        )
        self._task = self._progress.add_task("starting", total=plan.rounds * len(world.tasks))
        self._live = (
            Live(console=console, auto_refresh=False, transient=True) if console.is_terminal and not quiet else None
        )

    def __enter__(self) -> Self:
        """Start drawing."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the picture: the report takes its place."""
        if self._live is not None:
            self._live.stop()

    def watch(self, steps: Sequence[Step]) -> None:
        """Take in what is new, and draw now and then."""
        if self._live is None:
            return
        for step in itertools.islice(steps, self._seen, None):
            self._count(step)
        self._seen = len(steps)
        if self._seen - self._drawn >= EVERY and steps:
            self._drawn = self._seen
            described = f"round {steps[-1].round}, {ACTS[steps[-1].act]}"
            self._progress.update(self._task, completed=self._seen, description=described)
            self._live.update(Group(self._progress, Text(""), self._table()), refresh=True)

    def told(self, runs: int, what: str) -> None:
        """Show how far the trials of policies are."""
        if self._live is not None:
            text = Text.assemble(("policies  ", "yellow"), f"{what}, run {runs:,}")
            self._live.update(Group(self._progress, Text(""), text), refresh=True)

    def repeated(self, seeds: int) -> Callable[[int], None]:
        """Return what to call after each further seed."""

        def show(done: int) -> None:
            if self._live is not None:
                self._progress.update(self._task, completed=done, total=seeds, description="other seeds")
                self._live.update(self._progress, refresh=True)

        return show

    def _count(self, step: Step) -> None:
        if step.round != self._round:
            self._round, self._tallies = step.round, defaultdict(Tally)
        best = self._world.outcome(step.task_id, self._best[step.task_type])
        tally = self._tallies[step.task_type]
        tally.runs += 1
        tally.success += step.quality
        tally.cost += step.cost_usd
        tally.gain += step.quality - best.quality - self._price * (step.cost_usd - best.cost_usd)
        tally.models[step.model] += 1

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=True)
        table.add_column("this round")
        for name in ("runs", "success", "$ a run", "vs best single"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("models chosen", ratio=1, no_wrap=True, overflow="ellipsis")
        for task_type in sorted(self._tallies):
            tally = self._tallies[task_type]
            table.add_row(
                Text(task_type),
                f"{tally.runs:,}",
                f"{tally.success / tally.runs:.3f}",
                f"{tally.cost / tally.runs:.3f}",
                signed(tally.gain / tally.runs),
                shares(tally.models.most_common(3), tally.runs),
            )
        return table


def signed(value: float) -> Text:
    """Return a difference in utility with its sign, good or bad."""
    if abs(value) < 0.0005:
        return Text("0", style="dim")
    return Text(f"{value:+.3f}", style="green" if value > 0 else "red")


def shares(counts: Iterable[tuple[str, float]], whole: float) -> Text:
    """Return models with their share, the first one bright."""
    text = Text()
    for place, (model, count) in enumerate(counts):
        text.append(f"{'  ' if place else ''}{model} ", style="bold" if not place else "dim")
        text.append(f"{count / whole:.0%}", style="" if not place else "dim")
    return text
