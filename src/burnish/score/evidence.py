"""Gather what is known about a run: what it said itself, and what people and checks said later."""

from __future__ import annotations

from collections.abc import Sequence

from burnish.capture.records import CallRecord, GateRecord, RunRecord, SignalRecord
from burnish.govern.configuration import Configuration
from burnish.score.terms import Evidence

VERDICTS = {"success", "quality", "accepted", "rating"}
"""Late signals of these names replace what the run said of itself."""


def gather(
    run: RunRecord,
    gates: Sequence[GateRecord],
    signals: Sequence[SignalRecord],
    calls: Sequence[CallRecord],
    configuration: Configuration,
) -> Evidence:
    """Return the evidence; of several signals of one name the latest counts."""
    values = {signal.name: signal.value for signal in signals if signal.value is not None}
    late = {signal.name: signal.value for signal in signals if signal.late and signal.value is not None}
    budget = run.budget_usd
    if budget is None:
        budget = configuration.number("score.cost_budget_usd", run.tenant, run.agent, run.phase)
    return Evidence(
        gates=[gate.score for gate in gates],
        signals={name: value for name, value in sorted(values.items()) if name not in VERDICTS},
        success=late["success"] > 0 if "success" in late else run.success,
        quality=min(1.0, max(0.0, late["quality"])) if "quality" in late else run.quality,
        user_accepted=late["accepted"] > 0 if "accepted" in late else run.user_accepted,
        user_rating=min(5, max(1, round(late["rating"]))) if "rating" in late else run.user_rating,
        cost_usd=run.cost_usd,
        budget_usd=budget,
        latencies_s=[call.latency_s for call in calls if call.latency_s is not None],
        latency_target_s=configuration.number("score.latency_target_s", run.tenant, run.agent, run.phase),
    )
