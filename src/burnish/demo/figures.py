"""Make the demo's report: pure functions from a story and its world."""

from __future__ import annotations

from collections.abc import Sequence

from burnish.demo.chapters import checked, decided, drift, types
from burnish.demo.records import Step, Story
from burnish.demo.report import Learning, Point, Report, Seeds, Source
from burnish.demo.sums import Ledger, mean_se, of_act
from burnish.demo.trust_report import Audit, trust
from burnish.testing.world import RecordedWorld, References

POINTS = 120
"""Points of the learning curve."""


def report_of(
    story: Story,
    world: RecordedWorld,
    *,
    name: str,
    shipped: bool,
    seeds: Seeds | None = None,
    audit: Audit | None = None,
) -> Report:
    """Return the report of a story."""
    ledger = Ledger(story)
    return Report(
        source=_source(world, name, shipped=shipped),
        plan=story.plan,
        price=story.price,
        budget_usd=story.budget_usd,
        total=ledger.means(story.steps),
        learning=learning_of(story, world),
        types=types(story, world),
        checked=checked(story, world, ledger),
        drift=drift(story, world, ledger),
        trust=trust(story, world),
        audit=audit,
        decisions=[decided(story, explained) for explained in story.explained],
        seeds=seeds,
    )


def learning_of(story: Story, world: RecordedWorld) -> Learning:
    """Return what the learning rounds came to."""
    ledger = Ledger(story)
    steps = of_act(story, "learn")
    references = world.references(price=story.price, budget_usd=story.budget_usd)
    rounds = [ledger.means(s for s in steps if s.round == r) for r in range(1, story.plan.learn_rounds + 1)]
    whole = ledger.means(steps)
    gains = [_gain(story, world, step, references) for step in steps]
    return Learning(
        whole=whole,
        rounds=rounds,
        references=references,
        curve=_curve(gains),
        gap_closed=_closed(whole.utility, references),
        gap_closed_last=_closed(rounds[-1].utility, references),
        ahead_from=_ahead_from([gain for gain, _ in gains]),
    )


def seeds_of(learnings: Sequence[Learning]) -> Seeds:
    """Return the means over repetitions with other seeds."""
    best = learnings[0].references.best_single.utility
    return Seeds(
        count=len(learnings),
        ahead=sum(learning.whole.utility > best for learning in learnings),
        utility=mean_se([learning.whole.utility for learning in learnings]),
        gap_closed=mean_se([learning.gap_closed or 0.0 for learning in learnings]),
    )


def _source(world: RecordedWorld, name: str, *, shipped: bool) -> Source:
    return Source(
        name=name,
        shipped=shipped,
        tasks=len(world.tasks),
        models=world.models,
        types=world.types,
        left_out=world.left_out,
        imputed=world.imputed,
        graded=world.graded,
    )


def _gain(story: Story, world: RecordedWorld, step: Step, references: References) -> tuple[float, float]:
    """Return what the step and the oracle per type gained over the best single model on the same task."""

    def utility(model: str) -> float:
        outcome = world.outcome(step.task_id, model)
        return outcome.quality - story.price * outcome.cost_usd

    base = utility(references.best_single.models[step.task_type])
    oracle = utility(references.type_oracle.models[step.task_type])
    return step.quality - story.price * step.cost_usd - base, oracle - base


def _curve(gains: Sequence[tuple[float, float]]) -> list[Point]:
    """Add the gains up."""
    every = max(1, len(gains) // POINTS)
    points = [Point(run=0, gain=0.0, oracle=0.0)]
    total = oracle = 0.0
    for n, (gain, best) in enumerate(gains, start=1):
        total, oracle = total + gain, oracle + best
        if n % every == 0 or n == len(gains):
            points.append(Point(run=n, gain=total, oracle=oracle))
    return points


def _closed(utility: float, references: References) -> float | None:
    gap = references.type_oracle.utility - references.best_single.utility
    return (utility - references.best_single.utility) / gap if gap > 1e-9 else None


def _ahead_from(gains: Sequence[float]) -> int | None:
    """Return the run from which on the sum stays above zero."""
    total, since = 0.0, None
    for n, gain in enumerate(gains, start=1):
        total += gain
        since = None if total <= 0.0 else since or n
    return since
