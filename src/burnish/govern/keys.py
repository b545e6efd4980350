"""The configuration keys: one table of name, default, meaning and check."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import msgspec

from burnish.errors import InvalidValue
from burnish.govern.patterns import bounded

REDACTED = ("secret", "card", "iban", "ssn", "email", "phone", "ip")
"""What redaction can look for."""
_CUSTOM_NAME = re.compile(r"[a-z][a-z0-9_-]{0,29}")


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


def _switch(key: str, value: object) -> object:
    if not isinstance(value, bool):
        raise InvalidValue(key, value, "give true or false")
    return value


def _kinds(key: str, value: object) -> object:
    if not isinstance(value, (list, tuple)) or not set(value) <= set(REDACTED) or len(set(value)) != len(value):
        raise InvalidValue(key, value, f"give a list of kinds, each once, out of {', '.join(REDACTED)}")
    return list(value)


def _allowed(key: str, value: object) -> object:
    good = isinstance(value, (list, tuple)) and all(isinstance(v, str) and 0 < len(v.strip()) <= 200 for v in value)
    if not good or len(value) > 1_000:  # type: ignore[arg-type]  # a list by now
        raise InvalidValue(key, value, 'give a list of values or domains, such as ["help@example.com", "example.org"]')
    return list(value)  # type: ignore[call-overload]  # as above


def _custom(key: str, value: object) -> object:
    if not isinstance(value, (list, tuple)) or len(value) > 50:
        raise InvalidValue(key, value, 'give at most 50 rules, such as [{"name": "order", "pattern": "ORD-[0-9]{8}"}]')
    return [_custom_rule(f"{key}[{position}]", rule) for position, rule in enumerate(value)]


def _custom_rule(key: str, rule: object) -> dict[str, str]:
    if not isinstance(rule, Mapping) or set(rule) != {"name", "pattern"}:
        raise InvalidValue(key, rule, 'give a name and a pattern, such as {"name": "order", "pattern": "ORD-[0-9]{8}"}')
    name = rule["name"]
    if not isinstance(name, str) or not _CUSTOM_NAME.fullmatch(name) or name in REDACTED:
        raise InvalidValue(
            f"{key}.name", name, "give a name of lower-case letters, digits, - and _, not a known kind's"
        )
    return {"name": name, "pattern": bounded(f"{key}.pattern", rule["pattern"])}


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
    "redact.enabled": Key(True, "Whether personal data and secrets are replaced before anything is kept.", _switch),
    "redact.kinds": Key(list(REDACTED), "What is replaced.", _kinds),
    "redact.allow": Key([], "Values, and domains of e-mail addresses, that are left as they are.", _allowed),
    "redact.custom": Key(
        [], "Patterns of one's own to replace, bounded, for RE2: a list of name and pattern.", _custom
    ),
}


def checked(key: str, value: object) -> object:
    """Return the value as it is stored.

    Raises:
        InvalidValue: There is no such key, or the value does not fit it.
    """
    if key not in KEYS:
        raise InvalidValue("key", key, f"the configuration keys are {', '.join(KEYS)}")
    return KEYS[key].check(key, value)
