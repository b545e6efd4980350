"""Add up the steps of a story."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from burnish.demo.records import Step, Story
from burnish.demo.report import Means


class Ledger:
    """Adds up steps: success, cost, loss and utility a run."""

    def __init__(self, story: Story) -> None:
        self._losses, self._price = story.losses, story.price

    def means(self, steps: Iterable[Step]) -> Means:
        """Return the means of these steps; zeros when there are none."""
        found = list(steps)
        n = max(1, len(found))
        success = math.fsum(step.quality for step in found) / n
        cost = math.fsum(step.cost_usd for step in found) / n
        loss = math.fsum(self._losses[step.run_id] for step in found) / n
        return Means(runs=len(found), success=success, cost_usd=cost, loss=loss, utility=success - self._price * cost)


def of_act(story: Story, act: str) -> list[Step]:
    """Return the steps of one act."""
    return [step for step in story.steps if step.act == act]


def mean_se(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error; zero for a single value."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, 0.0
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, math.sqrt(variance / len(values))
