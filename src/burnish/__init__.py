"""Burnish: the learning layer for LLM agents.

    import burnish

    loop = burnish.open()
    with loop.run(agent="support", task_type="retail") as run:
        decision = run.decide(models=["small-model", "large-model"])
        ...

Names load on first use, so that importing Burnish costs a host next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from burnish.act.choice import Candidate, Decision
    from burnish.errors import BurnishError, GateRefused, InvalidValue, LoopClosed, NoEligibleModel, StoreError
    from burnish.events import (
        CaptureProblem,
        DriftAlarm,
        ExecutionRecorded,
        PolicyChanged,
        PoolClosed,
        PoolCreated,
        RoutingDecision,
        RunRescored,
        TaskCompleted,
    )
    from burnish.loop import Loop, open  # noqa: A004 - burnish.open() reads as gzip.open() does
    from burnish.propose.policy import Policy
    from burnish.run import Run
    from burnish.score.terms import Evidence
    from burnish.trial.plan import CanaryPlan, ShadowPlan

__version__ = "0.1.0"

_HOME = {
    "BurnishError": "errors",
    "Candidate": "act.choice",
    "CanaryPlan": "trial.plan",
    "CaptureProblem": "events",
    "Decision": "act.choice",
    "DriftAlarm": "events",
    "Evidence": "score.terms",
    "ExecutionRecorded": "events",
    "GateRefused": "errors",
    "InvalidValue": "errors",
    "Loop": "loop",
    "LoopClosed": "errors",
    "NoEligibleModel": "errors",
    "Policy": "propose.policy",
    "PolicyChanged": "events",
    "PoolClosed": "events",
    "PoolCreated": "events",
    "RoutingDecision": "events",
    "Run": "run",
    "RunRescored": "events",
    "ShadowPlan": "trial.plan",
    "StoreError": "errors",
    "TaskCompleted": "events",
    "open": "loop",
}

__all__ = [
    "BurnishError",
    "CanaryPlan",
    "Candidate",
    "CaptureProblem",
    "Decision",
    "DriftAlarm",
    "Evidence",
    "ExecutionRecorded",
    "GateRefused",
    "InvalidValue",
    "Loop",
    "LoopClosed",
    "NoEligibleModel",
    "Policy",
    "PolicyChanged",
    "PoolClosed",
    "PoolCreated",
    "RoutingDecision",
    "Run",
    "RunRescored",
    "ShadowPlan",
    "StoreError",
    "TaskCompleted",
    "__version__",
    "open",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(f"burnish.{_HOME[name]}"), name)
    raise AttributeError(f"module 'burnish' has no attribute {name!r}")
