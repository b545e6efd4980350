"""What to try after a failure, ranked anew after each one: what is known to succeed where the failed model did not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import msgspec

from burnish.act.choice import Candidate, Decision, Slate
from burnish.act.slate import Terms, draw, price_of_cost
from burnish.learn.belief import Belief, known
from burnish.stats.fallback import Candidate as Option, order_until_success

WORTH = 1.0
"""What a success is worth, in units of quality."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A model that was tried, and how it failed."""

    model: str
    kind: str


def rank(
    belief: Belief, terms: Terms, task_type: str, models: Sequence[str], failed: Sequence[Failure]
) -> list[Candidate]:
    """Return the models worth trying next, best first; empty when none is worth its cost.

    The order is success probability per cost, the cheapest way to a first success.
    """
    tried = {failure.model for failure in failed}
    left = [candidate for candidate in _untried(belief, terms, task_type, models) if candidate.model not in tried]
    return _ranked(left, {c.model: _chance(belief, task_type, failed, c) for c in left})


def ordered(
    belief: Belief, terms: Terms, task_type: str, order: Sequence[str], failed: Sequence[Failure]
) -> list[Candidate]:
    """Return what a policy tries next, in its order; what has failed already is left out."""
    tried = {failure.model for failure in failed}
    wider = belief.with_models(order)
    left = [candidate for candidate in _untried(wider, terms, task_type, order) if candidate.model not in tried]
    chances = {candidate.model: _chance(wider, task_type, failed, candidate) for candidate in left}
    return [
        msgspec.structs.replace(c, quality=chances[c.model], utility=chances[c.model] * WORTH + c.utility) for c in left
    ]


def chain(belief: Belief, terms: Terms, task_type: str, models: Sequence[str], first: str) -> list[Candidate]:
    """Return what would be tried, one after the other, if `first` and then each next model failed on quality."""
    left = [candidate for candidate in _untried(belief, terms, task_type, models) if candidate.model != first]
    chances = {candidate.model: 1.0 for candidate in left}
    found: list[Candidate] = []
    failure = Failure(model=first, kind="quality")
    while left:
        for candidate in left:
            chance = _chance(belief, task_type, [failure], candidate)
            chances[candidate.model] = min(chances[candidate.model], chance)
        ranked = _ranked(left, chances)
        if not ranked:
            break
        found.append(ranked[0])
        failure = Failure(model=ranked[0].model, kind="quality")
        left = [candidate for candidate in left if candidate.model != failure.model]
    return found


def decide(
    belief: Belief, terms: Terms, ranked: Sequence[Candidate], failed: Sequence[Failure], uniform: float | None
) -> Decision:
    """Return the decision for the next attempt: the first of the ranking, or another one to explore.

    Without a random number the first is taken: a policy's order is not explored.
    """
    floor = terms.floor if len(ranked) > 1 and uniform is not None else 0.0
    weights = [floor / len(ranked)] * len(ranked)
    weights[0] += 1.0 - floor
    last = failed[-1]
    slate = Slate(
        candidates=[msgspec.structs.replace(c, probability=w) for c, w in zip(ranked, weights, strict=True)],
        probabilities=weights,
        edges=list(accumulate(weights)),
        rule="fallback",
        why=f"{last.model} failed ({last.kind.replace('_', ' ')})",
        price_of_cost=price_of_cost(belief, terms),
    )
    chosen = slate.candidates[draw(slate, uniform or 0.0)]
    cost = "" if chosen.cost_usd is None else f" at ${chosen.cost_usd:.4g}"
    return Decision(
        model=chosen.model,
        rule="fallback",
        reason=f"{slate.why}; {chosen.model} then succeeds with probability {chosen.quality:.2f}{cost}, "
        f"from {chosen.observed:.0f} attempts after a failure",
        propensity=chosen.probability,
        slate=slate,
        attempt=len(failed),
        epoch=belief.epoch(chosen.model),
        novelty=None,
    )


def _untried(belief: Belief, terms: Terms, task_type: str, models: Sequence[str]) -> list[Candidate]:
    """Return each model as it stands before anything has failed; utility holds minus its penalty."""
    t = belief.type_index(task_type)
    price = price_of_cost(belief, terms)
    found = []
    for model in models:
        arm = belief.arm(model)
        if arm is None:
            continue
        cost, latency = known(belief.cost[t, arm]), known(belief.latency[t, arm])
        found.append(
            Candidate(
                model=model,
                probability=0.0,
                quality=min(1.0, max(0.0, float(belief.quality.mean[t, arm]))),
                quality_sd=0.0,
                cost_usd=cost,
                latency_s=latency,
                utility=-(price * (cost or 0.0) + terms.latency_weight * (latency or 0.0)),
                observed=belief.rescues.attempts_of(model),
            )
        )
    return found


def _chance(belief: Belief, task_type: str, failed: Sequence[Failure], candidate: Candidate) -> float:
    """Return P(the candidate succeeds | all of these failed), taken as its least chance after any one of them."""
    return min(
        belief.rescues.probability(task_type, failure.model, failure.kind, candidate.model, candidate.quality)
        for failure in failed
    )


def _ranked(left: Sequence[Candidate], chances: dict[str, float]) -> list[Candidate]:
    options = {c.model: Option(chances[c.model], -c.utility) for c in left}
    by_name = {candidate.model: candidate for candidate in left}
    return [
        msgspec.structs.replace(
            by_name[model], quality=chances[model], utility=chances[model] * WORTH + by_name[model].utility
        )
        for model in order_until_success(options, worth=WORTH)
    ]
