"""What capture writes: one frozen record a table row, fields in the order of the table's columns.

A `Bundle` is what one finished run (or one late signal) hands to the writer, all of it in one transaction.
"""

from __future__ import annotations

from datetime import datetime

import msgspec


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Money in USD, durations in seconds, quality and loss in [0, 1]."""

    id: str
    created_at: datetime
    tenant: str
    project: str | None = None
    agent: str
    phase: str | None = None
    conversation: str | None = None
    parent_id: str | None = None
    root_id: str
    task: str | None = None
    task_type: str
    features: dict[str, object] = {}
    started_at: datetime
    duration_s: float
    success: bool | None = None
    quality: float | None = None
    model: str | None = None
    policy_id: str | None = None
    cost_usd: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    estimated_cost_usd: float | None = None
    estimated_duration_s: float | None = None
    estimated_quality: float | None = None
    estimated_tokens: int | None = None
    budget_usd: float | None = None
    routing_confidence: float | None = None
    complexity: int | None = None
    tier: str | None = None
    pool: str | None = None
    peak_memory_mb: float | None = None
    cpu_time_s: float | None = None
    user_accepted: bool | None = None
    user_rating: int | None = None
    error_type: str | None = None
    error: str | None = None
    output: str | None = None
    solution_summary: str | None = None
    embedding_text: str | None = None
    extra: dict[str, object] = {}
    loss: float | None = None
    process_id: str

    @property
    def prediction_error(self) -> dict[str, float]:
        """Actual minus estimated, for each of cost_usd, duration_s and quality that has both."""
        pairs = {
            "cost_usd": (self.cost_usd, self.estimated_cost_usd),
            "duration_s": (self.duration_s, self.estimated_duration_s),
            "quality": (self.quality, self.estimated_quality),
        }
        return {
            name: actual - estimate
            for name, (actual, estimate) in pairs.items()
            if actual is not None and estimate is not None
        }


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One model or tool call inside a run; `attempt` says under which decision it was made."""

    id: str
    created_at: datetime
    tenant: str
    run_id: str
    seq: int
    attempt: int
    kind: str = "model"
    name: str | None = None
    model: str | None = None
    provider: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cost_usd: float | None = None
    latency_s: float | None = None
    finish_reason: str | None = None
    tool_names: tuple[str, ...] = ()
    response_id: str | None = None
    error_type: str | None = None
    error: str | None = None


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One decision: what was chosen, with what probability, out of what, by which rule."""

    id: str
    created_at: datetime
    tenant: str
    run_id: str
    attempt: int
    agent: str
    task_type: str
    policy_id: str | None = None
    rule: str
    reason: str
    model: str
    propensity: float
    candidates: list[dict[str, object]]
    fallbacks: list[str]
    novelty: float | None = None
    price_of_cost: float
    epoch: int
    failure_kind: str | None = None


class GateRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One check that a run passed or failed; `score` in [0, 1] is 1 or 0 unless the check is graded."""

    id: str
    created_at: datetime
    tenant: str
    run_id: str
    name: str
    passed: bool
    score: float
    reason: str | None = None


class SignalRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One observation about a run; `late` when it came after the run had been handed over."""

    id: str
    created_at: datetime
    tenant: str
    run_id: str
    name: str
    value: float | None = None
    label: str | None = None
    reason: str | None = None
    source: str = "host"
    late: bool = False


class ConversationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The conversation that a run belongs to, known by the host's own key."""

    id: str
    created_at: datetime
    tenant: str
    key: str
    user_id: str | None = None


class PoolEventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A worker pool of the host was created or closed."""

    id: str
    created_at: datetime
    tenant: str
    pool: str
    kind: str
    facts: dict[str, object] = {}


class AssignmentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One run was given an arm of a deployment; handed over when it is, so that a run that never ends counts too."""

    id: str
    created_at: datetime
    tenant: str
    deployment: str
    run_id: str
    unit: str
    task_type: str
    arm: int
    """0 is the control, 1 the first candidate."""
    probabilities: tuple[float, ...]
    """Of the control and of each candidate, as they were used."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is written together: a finished run with its parts, or what came late."""

    run: RunRecord | None = None
    conversation: ConversationRecord | None = None
    calls: list[CallRecord] = []
    decisions: list[DecisionRecord] = []
    gates: list[GateRecord] = []
    signals: list[SignalRecord] = []
    pool_events: list[PoolEventRecord] = []
    assignments: list[AssignmentRecord] = []
