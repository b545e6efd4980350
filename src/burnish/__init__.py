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
    from burnish.errors import BurnishError, InvalidValue, LoopClosed, NoEligibleModel, StoreError
    from burnish.events import (
        CaptureProblem,
        DriftAlarm,
        ExecutionRecorded,
        PoolClosed,
        PoolCreated,
        RoutingDecision,
        RunRescored,
        TaskCompleted,
    )
    from burnish.loop import Loop, open  # noqa: A004 - burnish.open() reads as gzip.open() does
    from burnish.run import Run
    from burnish.score.terms import Evidence

__version__ = "0.1.0"

_HOME = {
    "BurnishError": "errors",
    "Candidate": "act.choice",
    "CaptureProblem": "events",
    "Decision": "act.choice",
    "DriftAlarm": "events",
    "Evidence": "score.terms",
    "ExecutionRecorded": "events",
    "InvalidValue": "errors",
    "Loop": "loop",
    "LoopClosed": "errors",
    "NoEligibleModel": "errors",
    "PoolClosed": "events",
    "PoolCreated": "events",
    "RoutingDecision": "events",
    "Run": "run",
    "RunRescored": "events",
    "StoreError": "errors",
    "TaskCompleted": "events",
    "open": "loop",
}

__all__ = [
    "BurnishError",
    "Candidate",
    "CaptureProblem",
    "Decision",
    "DriftAlarm",
    "Evidence",
    "ExecutionRecorded",
    "InvalidValue",
    "Loop",
    "LoopClosed",
    "NoEligibleModel",
    "PoolClosed",
    "PoolCreated",
    "RoutingDecision",
    "Run",
    "RunRescored",
    "StoreError",
    "TaskCompleted",
    "__version__",
    "open",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(f"burnish.{_HOME[name]}"), name)
    raise AttributeError(f"module 'burnish' has no attribute {name!r}")
