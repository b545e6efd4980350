"""What to try after a failure, ranked anew after each one: what is known to succeed where the failed model did not."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from burnish.act.choice import Candidate, Decision, Slate
from burnish.act.slate import Terms, draw, price_of_cost
from burnish.learn.belief import Belief
from burnish.learn.performance import FallbackRow
from burnish.score.scoring import TRANSPORT
from burnish.stats import fallback as stats

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
    t = belief.type_index(task_type)
    price = price_of_cost(belief, terms)
    options: dict[str, Candidate] = {}
    for model in models:
        arm = belief.arm(model)
        if model in tried or arm is None:
            continue
        cost, latency = float(belief.cost[t, arm]), float(belief.latency[t, arm])
        penalty = price * float(np.nan_to_num(cost)) + terms.latency_weight * float(np.nan_to_num(latency))
        chance = min(_rescue(belief, task_type, failure, model) for failure in failed)
        options[model] = Candidate(
            model=model,
            probability=0.0,
            quality=chance,
            quality_sd=0.0,
            cost_usd=None if np.isnan(cost) else cost,
            latency_s=None if np.isnan(latency) else latency,
            utility=chance * WORTH - penalty,
            observed=sum(row.trials for row in belief.knowledge.fallbacks if row.next_model == model),
        )
    gains = {m: stats.Candidate(c.quality, max(0.0, c.quality * WORTH - c.utility)) for m, c in options.items()}
    return [options[model] for model in stats.order_until_success(gains, worth=WORTH)]


def decide(
    belief: Belief, terms: Terms, ranked: Sequence[Candidate], failed: Sequence[Failure], uniform: float
) -> Decision:
    """Return the decision for the next attempt: the first of the ranking, or another one to explore."""
    floor = terms.floor if len(ranked) > 1 else 0.0
    weights = [floor / len(ranked)] * len(ranked)
    weights[0] += 1.0 - floor
    last = failed[-1]
    slate = Slate(
        candidates=[msgspec.structs.replace(c, probability=w) for c, w in zip(ranked, weights, strict=True)],
        probabilities=weights,
        edges=np.cumsum(weights).tolist(),
        rule="fallback",
        why=f"{last.model} failed ({last.kind.replace('_', ' ')})",
        price_of_cost=price_of_cost(belief, terms),
    )
    chosen = slate.candidates[draw(slate, uniform)]
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


def chain(belief: Belief, terms: Terms, task_type: str, models: Sequence[str], first: str) -> list[Candidate]:
    """Return what would be tried, one after the other, if `first` and then each next model failed on quality."""
    failed = [Failure(model=first, kind="quality")]
    found: list[Candidate] = []
    while ranked := rank(belief, terms, task_type, models, failed):
        found.append(ranked[0])
        failed.append(Failure(model=ranked[0].model, kind="quality"))
    return found


def _rescue(belief: Belief, task_type: str, failure: Failure, model: str) -> float:
    """Return P(model succeeds | this failure)."""
    quality = min(1.0, max(0.0, belief.expected_quality(task_type, model)))
    rows = [row for row in belief.knowledge.fallbacks if row.next_model == model]
    pair = [row for row in rows if row.failed_model == failure.model]
    same = [row for row in pair if row.failure_kind == failure.kind and row.task_type == task_type]
    if failure.kind in TRANSPORT:
        return _attempts(same).toward(quality)
    rows, pair = ([row for row in group if row.failure_kind not in TRANSPORT] for group in (rows, pair))
    record = stats.RescueRecord(_attempts(same), _attempts(pair), _attempts(rows))
    return stats.rescue_probability(record, quality)


def _attempts(rows: Sequence[FallbackRow]) -> stats.Attempts:
    return stats.Attempts(sum(row.trials for row in rows), sum(row.successes for row in rows))
