"""Replay policies on a recorded world: a policy chooses the model, and the record says what then happened.

What a recording cannot show is left out: it knows models, not prompts, parameters, tools or context, and one attempt a
task, not fallbacks. Two policies that differ only in these do the same here.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from burnish.errors import InvalidValue
from burnish.propose.policy import Policy
from burnish.score.loss import compute, weigh
from burnish.score.terms import TERMS, Evidence
from burnish.testing.world import RecordedWorld
from burnish.trial.replay_record import ReplayItem, ReplayOutcome


class RecordedRunner:
    """A runner for `trial.replay`. Safe to call from many threads."""

    def __init__(
        self, world: RecordedWorld, *, budget_usd: float | None = None, weights: Mapping[str, float] | None = None
    ) -> None:
        """Take the world, and how its outcomes are scored: alike for every policy, whatever weights it brings.

        Raises:
            InvalidValue: A weight is for a term that does not exist.
        """
        self._world, self._budget_usd = world, budget_usd
        self._weights = weigh(weights, TERMS)

    def __call__(self, policy: Policy | None, item: ReplayItem, seed: int) -> ReplayOutcome:
        """Return what was recorded of the model that the policy chooses.

        Raises:
            InvalidValue: The world has no such task, or not the model.
        """
        outcome = self._world.outcome(item.id, model_of(policy, item, seed, self._world))
        evidence = Evidence(quality=outcome.quality, cost_usd=outcome.cost_usd, budget_usd=self._budget_usd)
        loss = compute(evidence, self._weights)
        return ReplayOutcome(
            loss=None if loss is None else loss.value,
            quality=outcome.quality,
            cost_usd=outcome.cost_usd,
            duration_s=outcome.duration_s or 0.0,
        )


def items_of(world: RecordedWorld) -> list[ReplayItem]:
    """Return every task of a world as an item."""
    return [ReplayItem(id=task.id, task=task.text or "", task_type=task.type) for task in world.tasks]


def model_of(policy: Policy | None, item: ReplayItem, seed: int, world: RecordedWorld) -> str:
    """Return the model that does an item: the policy's rule, else its first model, else any, drawn by seed and item."""
    if policy is not None:
        ruled = policy.model_for(item.task_type, item.features)
        if ruled is not None:
            return ruled
        if policy.models:
            return policy.models[0]
    return random.Random(f"{seed}/{item.id}").choice(world.models)  # noqa: S311 - a repeatable draw, not a secret


def require_known(policy: Policy, world: RecordedWorld) -> None:
    """Check that a world has every model that a policy may choose.

    Raises:
        InvalidValue: It has not; names the model and those it has.
    """
    for model in (*policy.models[:1], *(rule.model for rule in policy.routing)):
        if model not in world.models:
            raise InvalidValue("policy", model, f"the recording has no such model; it has {', '.join(world.models)}")
