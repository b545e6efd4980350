"""The message bus: what happens in the loop, and what a host application reports into it.

Handlers subscribe to a type of event. They run on the thread that publishes (the host's for decisions, the writer's
for recorded runs); one that raises is reported and the others still run.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec

log = logging.getLogger("burnish")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every event."""


class RoutingDecision(Event, frozen=True, kw_only=True):
    """A model was chosen for a run."""

    run_id: str
    agent: str
    task_type: str
    model: str
    rule: str
    reason: str
    propensity: float
    attempt: int


class ExecutionRecorded(Event, frozen=True, kw_only=True):
    """A run is in the ledger and has its first loss."""

    run_id: str
    tenant: str
    agent: str
    task_type: str
    model: str | None
    quality: float | None
    loss: float | None
    cost_usd: float | None


class RunRescored(Event, frozen=True, kw_only=True):
    """A late signal changed the loss of a run."""

    run_id: str
    before: float | None
    after: float


class DriftAlarm(Event, frozen=True, kw_only=True):
    """A model has become worse than its own record predicts."""

    tenant: str
    agent: str
    model: str
    run_id: str
    evidence: float
    observed: int


class PolicyChanged(Event, frozen=True, kw_only=True):
    """A policy took another status: proposed, in shadow, in canary, in charge, or archived."""

    tenant: str
    agent: str
    task_type: str
    policy: str
    from_status: str
    to_status: str
    reason: str
    actor: str


class CaptureProblem(Event, frozen=True, kw_only=True):
    """Something the host handed over was refused, or could not be kept; the run goes on without it."""

    what: str
    message: str
    run_id: str | None = None


class TaskCompleted(Event, frozen=True, kw_only=True):
    """Reported by a host: a task ran outside of `loop.run`. It becomes a run."""

    task_type: str
    agent: str = "host"
    model: str | None = None
    success: bool | None = None
    quality: float | None = None
    duration_s: float = 0.0
    cost_usd: float | None = None
    task: str | None = None
    task_id: str | None = None
    started_at: datetime | None = None
    facts: dict[str, Any] = {}
    """Further fields of `loop.run`: project, tier, pool, complexity, estimated_cost_usd, …"""


class PoolCreated(Event, frozen=True, kw_only=True):
    """Reported by a host: a worker pool is up."""

    pool: str
    facts: dict[str, Any] = {}


class PoolClosed(Event, frozen=True, kw_only=True):
    """Reported by a host: a worker pool is gone."""

    pool: str
    facts: dict[str, Any] = {}


EventT = TypeVar("EventT", bound=Event)
Handler = Callable[[Any], None]


class Bus:
    """Handlers by type of event. Safe to use from any thread."""

    def __init__(self) -> None:
        self._handlers: dict[type[Event], tuple[Handler, ...]] = {}
        self._lock = threading.Lock()

    def forked(self) -> None:
        """Renew the lock in a forked child, where another thread of the parent may have held it."""
        self._lock = threading.Lock()

    def on(self, event: type[EventT], handler: Callable[[EventT], None]) -> Callable[[], None]:
        """Call `handler` for every event of exactly this type; returns a function that unsubscribes."""
        with self._lock:
            self._handlers[event] = (*self._handlers.get(event, ()), handler)

        def off() -> None:
            with self._lock:
                self._handlers[event] = tuple(h for h in self._handlers.get(event, ()) if h is not handler)

        return off

    def wants(self, event: type[Event]) -> bool:
        """Tell whether anybody listens, so that hot paths need not build an event for nobody."""
        return bool(self._handlers.get(event))

    def publish(self, event: Event) -> None:
        """Hand the event to its handlers, in the order they subscribed."""
        for handler in self._handlers.get(type(event), ()):
            try:
                handler(event)
            except Exception:
                log.exception("a handler of %s failed", type(event).__name__)
