"""Which model for this task: the rules in order, each with its reason in words.

    configured  a person pinned the task type, or its start model has too few runs yet
    policy      a routing rule of the policy that the run is under
    novelty     the task is unlike anything seen: the safest model
    drift       a model raised an alarm and another is now better with probability > .9
    learned     tempered Thompson sampling on the posterior, priced by cost and latency

A slate (candidates and exact probabilities) is a pure function of belief and configuration. It is computed once per
belief, task type and set of models; a decision then draws one uniform number.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from burnish.act.choice import Candidate, Slate
from burnish.act.routing_table import Routing
from burnish.govern.configuration import Configuration
from burnish.learn.belief import Belief, known
from burnish.learn.health import COOLDOWN
from burnish.stats.propensity import draw_belief, propensities

Array: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

START_RUNS = 5
SURE = 0.9
FULL_SPREAD = 1.0


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration that weighs candidates, resolved for one agent."""

    cost_weight: float
    latency_weight: float
    floor: float
    budget_usd_per_run: float | None
    cap_usd_per_run: float | None
    cap_usd_per_month: float | None
    novelty_limit: float

    @classmethod
    def of(cls, configuration: Configuration, tenant: str, agent: str) -> Terms:
        """Read the `route.*` keys for one agent."""
        names = list(cls.__struct_fields__)
        found = {name: configuration.number(f"route.{name}", tenant, agent) for name in names}
        return msgspec.convert(found, cls)


def slate(
    belief: Belief,
    terms: Terms,
    routing: Mapping[str, Routing],
    *,
    task_type: str,
    models: tuple[str, ...],
    month: str,
    safest: bool = False,
    given: str | None = None,
) -> Slate:
    """Return the candidates for a task type with the probability of each, and the rule that weighed them.

    Args:
        belief: Must know every model of `models`.
        terms: Prices, caps and floor.
        routing: The tenant's routing table.
        task_type: The kind of task.
        models: Who may be chosen; at least one.
        month: The current month, YYYY-MM (UTC), for the monthly cap.
        safest: Whether the novelty rule applies.
        given: The model that a rule of the run's policy gives it.
    """
    t = belief.type_index(task_type)
    arms = np.array([belief.arm(model) for model in models], dtype=np.intp)
    mean = belief.quality.mean[t, arms]
    covariance = belief.quality.covariance[t][np.ix_(arms, arms)]
    cost, latency = belief.cost[t, arms], belief.latency[t, arms]
    price = price_of_cost(belief, terms)
    penalty = price * np.nan_to_num(cost) + terms.latency_weight * np.nan_to_num(latency)
    excluded = _excluded(cost, belief, terms, month)
    eligible = np.array([why is None for why in excluded])
    rule, why, chosen = _ruled(
        belief, routing, task_type, models, mean, covariance, penalty, eligible, safest=safest, given=given
    )
    if chosen is None:
        drawn = draw_belief(mean, np.linalg.cholesky(covariance), noise_variance=belief.quality.noise_variance)
        weights = propensities(drawn, penalty=penalty, eligible=eligible, floor=terms.floor)
    else:
        floor = 0.0 if rule == "configured" and routing[task_type].mode == "pinned" else terms.floor
        weights = floor * eligible / eligible.sum()
        weights[chosen] += 1.0 - floor
    return _finished(belief, t, arms, models, weights, penalty, excluded, rule, why, price)


def draw(found: Slate, uniform: float) -> int:
    """Return the index of the candidate that a uniform number in [0, 1) selects."""
    index = bisect_right(found.edges, uniform * found.edges[-1])
    while not found.probabilities[index]:
        index -= 1
    return index


def preferred(belief: Belief, terms: Terms, task_type: str, models: Sequence[str]) -> str | None:
    """Return the model of highest expected utility among those the belief knows."""
    known = [model for model in models if belief.arm(model) is not None]
    if not known:
        return None
    t = belief.type_index(task_type)
    arms = np.array([belief.arm(model) for model in known], dtype=np.intp)
    price = price_of_cost(belief, terms)
    penalty = price * np.nan_to_num(belief.cost[t, arms]) + terms.latency_weight * np.nan_to_num(
        belief.latency[t, arms]
    )
    return known[int(np.argmax(belief.quality.mean[t, arms] - penalty))]


def price_of_cost(belief: Belief, terms: Terms) -> float:
    """Return the quality one USD is worth: the configured weight, or what the pacer finds where a budget is set."""
    if terms.budget_usd_per_run is None:
        return terms.cost_weight
    return belief.knowledge.spend.price / terms.budget_usd_per_run


def _excluded(cost: Array, belief: Belief, terms: Terms, month: str) -> list[str | None]:
    """Return why each candidate may not be chosen. When a cap leaves none, the cheapest stays."""
    limit, name = math.inf, ""
    if terms.cap_usd_per_run is not None:
        limit, name = terms.cap_usd_per_run, "the cap per run"
    if terms.cap_usd_per_month is not None:
        left = max(0.0, terms.cap_usd_per_month - belief.knowledge.spend.spent_in(month))
        if left < limit:
            limit, name = left, f"what is left of this month's cap (${left:.4g})"
    reasons: list[str | None] = [f"expected ${c:.4g} a run is over {name}" if c > limit else None for c in cost]
    if reasons and all(reasons):
        reasons[int(np.nanargmin(cost))] = None
    return reasons


def _ruled(
    belief: Belief,
    routing: Mapping[str, Routing],
    task_type: str,
    models: tuple[str, ...],
    mean: Array,
    covariance: Array,
    penalty: Array,
    eligible: Mask,
    *,
    safest: bool,
    given: str | None,
) -> tuple[str, str, int | None]:
    """Return (rule, reason, index of the model it wants or None to sample)."""
    if len(models) == 1 or eligible.sum() == 1:
        return "only_choice", "no other model is eligible", int(np.argmax(eligible))
    asked = _configured(belief, routing.get(task_type), task_type, models, eligible, given=given)
    if asked is not None:
        return asked
    if safest:
        cautious = np.where(eligible, mean - np.sqrt(np.diag(covariance)), -np.inf)
        best = int(np.argmax(cautious))
        return "novelty", f"{models[best]} has the highest quality one can count on", best
    drifted = _drift_promotion(belief, models, mean - penalty, covariance, eligible)
    if drifted is not None:
        return drifted
    best = int(np.argmax(np.where(eligible, mean - penalty, -np.inf)))
    known = belief.runs_of(task_type) > 0
    why = f"{models[best]} is expected to serve {task_type} best" if known else f"nothing is known of {task_type} yet"
    return "learned", why, None


def _configured(
    belief: Belief,
    row: Routing | None,
    task_type: str,
    models: tuple[str, ...],
    eligible: Mask,
    *,
    given: str | None,
) -> tuple[str, str, int] | None:
    """Return what a person pinned, what the run's policy gives it, or the model its task type starts with."""
    wanted = row.resolve(models) if row is not None and row.mode != "learned" else None
    fits = wanted is not None and bool(eligible[models.index(wanted)])
    if row is not None and wanted is not None and fits and row.mode == "pinned":
        return "configured", f"{task_type} is pinned to {wanted}", models.index(wanted)
    if given in models and eligible[models.index(given)]:
        return "policy", f"a rule of the policy gives {task_type} to {given}", models.index(given)
    if wanted is not None and fits and belief.runs_of(task_type) < START_RUNS:
        why = f"{task_type} starts with {wanted} until {START_RUNS} runs are scored"
        return "configured", why, models.index(wanted)
    return None


def _drift_promotion(
    belief: Belief, models: tuple[str, ...], utility: Array, covariance: Array, eligible: Mask
) -> tuple[str, str, int] | None:
    """Step in for a model in cooldown after an alarm, when another is better with probability > .9."""
    cooling = [m for m in models if (h := belief.knowledge.health.get(m)) is not None and h.cooldown > 0]
    others = [k for k, m in enumerate(models) if m not in cooling and eligible[k]]
    if not cooling or not others:
        return None
    best = max(others, key=lambda k: float(utility[k]))
    for model in cooling:
        k = models.index(model)
        spread = math.sqrt(max(covariance[best, best] + covariance[k, k] - 2 * covariance[best, k], 1e-12))
        surely = 0.5 * math.erfc(-float(utility[best] - utility[k]) / (spread * FULL_SPREAD * math.sqrt(2)))
        if surely <= SURE:
            return None
    left = max(belief.knowledge.health[m].cooldown for m in cooling)
    names = ", ".join(cooling)
    why = f"{names} got worse {COOLDOWN - left} runs ago; {models[best]} is better with probability over {SURE:.0%}"
    return "drift", why, best


def _finished(
    belief: Belief,
    t: int,
    arms: NDArray[np.intp],
    models: tuple[str, ...],
    weights: Array,
    penalty: Array,
    excluded: Sequence[str | None],
    rule: str,
    why: str,
    price: float,
) -> Slate:
    sd = np.sqrt(np.diagonal(belief.quality.covariance[t])[arms])
    candidates = [
        Candidate(
            model=model,
            probability=float(weights[k]),
            quality=float(belief.quality.mean[t, a]),
            quality_sd=float(sd[k]),
            cost_usd=known(belief.cost[t, a]),
            latency_s=known(belief.latency[t, a]),
            utility=float(belief.quality.mean[t, a] - penalty[k]),
            observed=float(belief.observed[t, a]),
            excluded=excluded[k],
        )
        for k, (model, a) in enumerate(zip(models, arms, strict=True))
    ]
    return Slate(
        candidates=candidates,
        probabilities=weights.tolist(),
        edges=np.cumsum(weights).tolist(),
        rule=rule,
        why=why,
        price_of_cost=price,
    )
