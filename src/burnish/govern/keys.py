"""The configuration keys: one table of name, default, meaning and check."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from burnish.errors import InvalidValue


class Key(msgspec.Struct, frozen=True):
    """One thing that can be configured per tenant, agent and phase."""

    default: object
    meaning: str
    check: Callable[[str, object], object]


def _number(low: float, high: float = float("inf")) -> Callable[[str, object], object]:
    def check(key: str, value: object) -> object:
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
        if not good or value == float("inf"):
            raise InvalidValue(key, value, f"give a number from {low:g} to {high:g}")
        return value

    return check


def _optional(check: Callable[[str, object], object]) -> Callable[[str, object], object]:
    return lambda key, value: None if value is None else check(key, value)


def _names(key: str, value: object) -> object:
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) and 0 < len(v) <= 200 for v in value):
        raise InvalidValue(key, value, 'give a list of names, such as ["small-model", "large-model"]')
    if len(set(value)) != len(value) or len(value) > 200:
        raise InvalidValue(key, value, "give at most 200 names, each once")
    return list(value)


def _weights(key: str, value: object) -> object:
    if not isinstance(value, Mapping) or not value:
        raise InvalidValue(key, value, 'give a dict of term to weight, such as {"gate_failures": 0.6}')
    for term, weight in value.items():
        _number(0.0, 1e6)(f"{key}[{term!r}]", weight)
    if not sum(value.values()) > 0:
        raise InvalidValue(key, value, "give at least one weight above 0")
    return dict(value)


KEYS: Mapping[str, Key] = {
    "score.weights": Key(
        None, "Weight of each loss term; those left out keep their default share.", _optional(_weights)
    ),
    "score.cost_budget_usd": Key(
        None, "Cost of one run above which the cost term counts, in USD.", _optional(_number(1e-9))
    ),
    "score.latency_target_s": Key(
        None, "p95 latency of a run's calls above which the latency term counts, in seconds.", _optional(_number(1e-9))
    ),
    "route.models": Key([], "Models to choose from; empty means those seen so far.", _names),
    "route.cost_weight": Key(
        0.1, "Quality (0 to 1) that one USD is worth when models are compared.", _number(0.0, 1e9)
    ),
    "route.latency_weight": Key(0.0, "Quality that one second of latency is worth.", _number(0.0, 1e6)),
    "route.floor": Key(
        0.03,
        "Share of decisions spread over all eligible models, most of it where it costs little; learning never stops.",
        _number(0.0, 1.0),
    ),
    "route.budget_usd_per_run": Key(
        None, "Mean cost of a run to hold, in USD; the price of cost follows it.", _optional(_number(1e-9))
    ),
    "route.cap_usd_per_run": Key(
        None, "Models expected to cost more than this a run are not eligible, in USD.", _optional(_number(0.0))
    ),
    "route.cap_usd_per_month": Key(
        None,
        "Spend of an agent in a calendar month (UTC) that is never planned beyond, in USD.",
        _optional(_number(0.0)),
    ),
    "route.novelty_limit": Key(
        0.99, "Novelty above which the safest model is taken; 1 turns the rule off.", _number(0.0, 1.0)
    ),
    "route.low_score": Key(0.5, "Quality below which a run counts as a low score of its model.", _number(0.0, 1.0)),
    "route.high_score": Key(0.8, "Quality from which a run counts as a high score of its model.", _number(0.0, 1.0)),
}


def checked(key: str, value: object) -> object:
    """Return the value as it is stored.

    Raises:
        InvalidValue: There is no such key, or the value does not fit it.
    """
    if key not in KEYS:
        raise InvalidValue("key", key, f"the configuration keys are {', '.join(KEYS)}")
    return KEYS[key].check(key, value)
