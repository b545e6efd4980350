"""The chapters of the report after the learning: what is known, the checker, the drift, the decisions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from burnish.demo.records import Chain, Explained, Known, Step, Story
from burnish.demo.report import Checked, Decided, Drift, ModelLine, TypeLine
from burnish.demo.sums import Ledger, of_act
from burnish.testing.world import SOLVED, RecordedWorld

BLOCKS = 60
"""Columns of the traffic chart."""


def types(story: Story, world: RecordedWorld) -> list[TypeLine]:
    """Return what was learned of each task type, beside what is true."""
    best = world.references(price=story.price).type_oracle.models
    last = story.beliefs["check"] if "check" in story.beliefs else story.beliefs["learn"]
    chains = {chain.task_type: chain for chain in last.chains}
    known = story.beliefs["learn"].models
    return [_type_line(t, world, best[t], [k for k in known if k.task_type == t], chains[t]) for t in world.types]


def _type_line(task_type: str, world: RecordedWorld, best: str, known: Sequence[Known], chain: Chain) -> TypeLine:
    tasks = [task for task in world.tasks if task.type == task_type]

    def truth(model: str) -> float:
        return math.fsum(world.outcome(task.id, model).quality for task in tasks) / len(tasks)

    lines = [
        ModelLine(
            model=k.model,
            runs=round(k.runs),
            quality=k.quality,
            low=k.low,
            high=k.high,
            true_quality=truth(k.model),
            cost_usd=k.cost_usd,
            share=k.share,
        )
        for k in sorted(known, key=lambda k: (-k.share, k.model))
    ]
    first = next(k.quality for k in known if k.model == chain.first)
    return TypeLine(
        task_type=task_type, tasks=len(tasks), best=best, models=lines, chain=[(chain.first, first), *chain.then]
    )


def checked(story: Story, world: RecordedWorld, ledger: Ledger) -> Checked | None:
    """Return what a checker and the fallbacks came to; None when there was no such act."""
    steps = of_act(story, "check")
    if not steps:
        return None
    always = [
        world.value(f"always {m}", {t: {m: 1.0} for t in world.types}, price=story.price, budget_usd=story.budget_usd)
        for m in world.models
    ]
    failed = [step for step in steps if step.attempts > 1 or step.quality < SOLVED]
    return Checked(
        means=ledger.means(steps),
        failed_first=len(failed),
        rescued=sum(step.quality >= SOLVED for step in failed),
        attempts=sum(step.attempts for step in steps) / len(steps),
        strongest=max(always, key=lambda reference: reference.success),
    )


def drift(story: Story, world: RecordedWorld, ledger: Ledger) -> Drift | None:
    """Return how a model that got worse was noticed; None when there was no such act."""
    since = next((k for k, step in enumerate(story.steps) if step.act == "drift"), None)
    if since is None:
        return None
    plan, model, steps = story.plan, story.drifting, story.steps
    worse = world.degraded(model, plan.share_lost, plan.seed)
    noticed = next((alarm.at for alarm in story.alarms if alarm.model == model and alarm.at > since), None)
    after = steps[noticed:] if noticed is not None else []
    before = steps[max(0, since - len(world.tasks)) : since]
    positions, shares = _traffic(story, max(0, since - len(world.tasks)))
    habits = story.beliefs["check"].shares
    return Drift(
        model=model,
        share_lost=plan.share_lost,
        since=since,
        noticed_at=noticed,
        noticed_after=None if noticed is None else noticed - since,
        own_runs=None if noticed is None else sum(step.model == model for step in steps[since:noticed]),
        share_before=_share(before, model),
        share_after=_share(after, model),
        means=ledger.means(steps[since:]),
        means_noticed=ledger.means(after),
        stayed=worse.value("keeping its habits", habits, price=story.price, budget_usd=story.budget_usd),
        oracle=worse.references(price=story.price, budget_usd=story.budget_usd).type_oracle,
        other_alarms=sum(alarm.at != noticed for alarm in story.alarms),
        positions=positions,
        shares=shares,
    )


def _traffic(story: Story, start: int) -> tuple[list[int], dict[str, list[float]]]:
    """Return the share of each model's first choices in blocks of runs, each standing at its middle."""
    steps = story.steps[start:]
    size = max(1, math.ceil(len(steps) / BLOCKS))
    blocks = [steps[k : k + size] for k in range(0, len(steps), size)]
    models = sorted({step.model for step in steps})
    positions = [start + size * k + len(block) // 2 for k, block in enumerate(blocks)]
    return positions, {model: [_share(block, model) for block in blocks] for model in models}


def _share(steps: Sequence[Step], model: str) -> float:
    return Counter(step.model for step in steps)[model] / max(1, len(steps))


def decided(story: Story, explained: Explained) -> Decided:
    """Return one explained run."""
    step = story.steps[explained.at - 1]
    return Decided(
        at=explained.at,
        why=explained.why,
        act=step.act,
        task_id=step.task_id,
        task_type=step.task_type,
        quality=step.quality,
        cost_usd=step.cost_usd,
        loss=story.losses[step.run_id],
        attempts=explained.attempts,
    )
