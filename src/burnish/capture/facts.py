"""What may be said of a run when it is opened, and how each fact is checked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict

from burnish.capture import checks
from burnish.errors import InvalidValue

MOST = 1e12
"""Most dollars or seconds of one run: more than any is, and sums of them stay finite."""
MOST_TOKENS = 2**53


class RunFacts(TypedDict, total=False):
    """What may be said of a run when it is opened. Money in USD, durations in seconds, quality in [0, 1]."""

    project: str | None
    phase: str | None
    conversation: str | None
    """The host's own key of the conversation the run belongs to."""
    user: str | None
    parent: str | None
    """Id of the run this one was opened for, when it does not run inside its `with` block."""
    features: Mapping[str, object] | None
    """Further categorical or numeric facts about the task, for novelty and learning."""
    extra: Mapping[str, object] | None
    """Anything to be kept with the run."""
    estimated_cost_usd: float | None
    estimated_duration_s: float | None
    estimated_quality: float | None
    estimated_tokens: int | None
    budget_usd: float | None
    routing_confidence: float | None
    """How sure the host's own router was, in [0, 1]; ours fills it when it decides."""
    complexity: int | None
    tier: str | None
    pool: str | None
    embedding_text: str | None
    """What to embed instead of task and summary."""
    model: str | None
    policy_id: str | None
    started_at: datetime | None
    """For runs recorded after the fact; not in the future."""
    duration_s: float | None
    cost_usd: float | None
    peak_memory_mb: float | None
    cpu_time_s: float | None


_NUMBERS = {
    "estimated_cost_usd": MOST,
    "estimated_duration_s": MOST,
    "estimated_quality": 1.0,
    "budget_usd": MOST,
    "routing_confidence": 1.0,
    "duration_s": MOST,
    "cost_usd": MOST,
    "peak_memory_mb": MOST,
    "cpu_time_s": MOST,
}
_SHORT: Mapping[str, int] = {
    "project": 500,
    "phase": 200,
    "conversation": 500,
    "user": 200,
    "tier": 100,
    "pool": 200,
    "model": 200,
    "policy_id": 200,
}


def checked(field: str, value: object, *, now: datetime, clip_chars: int) -> object:
    """Return a fact as it is stored.

    Raises:
        InvalidValue: The value does not fit the field, or there is no such field.
    """
    if field in _NUMBERS:
        return checks.number(field, value, 0.0, _NUMBERS[field])
    if field in {"estimated_tokens", "complexity"}:
        return checks.integer(field, value, 0, 2**31 - 1 if field == "complexity" else MOST_TOKENS)
    if field in {"features", "extra"}:
        return checks.facts(field, value)
    if field == "started_at":
        return checks.moment(field, value, now)
    if field in _SHORT:
        return checks.text(field, value, _SHORT[field])
    if field in {"task", "embedding_text"}:
        return checks.text(field, value, clip_chars)
    raise InvalidValue(field, value, "loop.run() has no such argument; put facts of your own into features or extra")


def weight(value: object) -> int:
    """Return about how many characters a checked fact takes in the queue."""
    if isinstance(value, dict):
        return sum(40 + weight(item) for item in value.values())
    return len(value) if isinstance(value, str) else 0
