"""What people ask of the loop: one function a question, each answer one frozen record.

The command line, and later the API and the dashboard, format these; nothing else reads the ledger for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from burnish.act import routing_table
from burnish.act.choice import Candidate
from burnish.act.router import Request, Router
from burnish.act.routing_table import Routing
from burnish.capture import ledger as capture
from burnish.capture.records import CallRecord, DecisionRecord, GateRecord, RunRecord, SignalRecord
from burnish.errors import Ambiguous, NotFound
from burnish.events import DriftAlarm
from burnish.learn import health, performance
from burnish.learn.belief import Belief, known
from burnish.learn.pacing import Spend
from burnish.score import ledger as losses
from burnish.score.ledger import LossRecord, Trend
from burnish.store.store import Store


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of one run: what was decided and why, what happened, and what its loss is made of."""

    run: RunRecord
    prediction_error: dict[str, float]
    decisions: Sequence[DecisionRecord]
    calls: Sequence[CallRecord]
    gates: Sequence[GateRecord]
    signals: Sequence[SignalRecord]
    losses: Sequence[LossRecord]
    """Every computation of the loss, oldest first."""
    children: Sequence[str]
    """Ids of the runs that were opened inside this one."""


class ModelReport(msgspec.Struct, frozen=True, kw_only=True):
    """One model of one agent on one task type."""

    agent: str
    task_type: str
    model: str
    runs: float
    quality: float
    quality_low: float
    quality_high: float
    """Bounds of the central 95 % of the belief, within [0, 1]."""
    cost_usd: float | None
    latency_s: float | None
    rating: float | None
    transport_failures: int
    epoch: int
    drift_evidence: float
    """Evidence that the model got worse; the alarm is at 500."""


class RouteReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the next run of a task type would be routed."""

    agent: str
    task_type: str
    rule: str
    reason: str
    price_of_cost: float
    """Quality that one USD is worth."""
    candidates: Sequence[Candidate]
    fallbacks: Sequence[Candidate]
    """What would be tried, in order, after the most probable candidate failed on quality."""
    configured: Routing | None
    spend: Spend


def explain(store: Store, run_id: str, *, tenant: str) -> Explanation:
    """Return everything known of a run. A prefix of its id is enough when it is unique.

    Raises:
        NotFound: No run starts with this id.
        Ambiguous: Several do.
    """
    with store.read() as connection:
        found = capture.find_runs(connection, run_id, tenant=tenant)
        if len(found) != 1:
            raise (Ambiguous if found else NotFound)("run", run_id, store.url)
        run = found[0]
        ids = [run.id]
        return Explanation(
            run=run,
            prediction_error=run.prediction_error,
            decisions=capture.decisions_of(connection, ids),
            calls=capture.calls_of(connection, ids),
            gates=capture.gates_of(connection, ids),
            signals=capture.signals_of(connection, ids),
            losses=losses.history(connection, run.id),
            children=capture.children_of(connection, run.id),
        )


def models(store: Store, router: Router, *, tenant: str, agent: str | None = None) -> list[ModelReport]:
    """Return what was learned of every model, by agent and task type."""
    with store.read() as connection:
        agents = performance.agents_of(connection, tenant) if agent is None else [agent]
    return [report for name in agents for report in _models_of(router.belief(tenant, name), name)]


def route(store: Store, router: Router, task_type: str, *, tenant: str, agent: str | None = None) -> list[RouteReport]:
    """Return how the next run of a task type would be routed, for one agent or for all that have learned anything.

    Raises:
        NotFound: No agent has learned anything yet.
        NoEligibleModel: The agent has no models.
    """
    with store.read() as connection:
        agents = performance.agents_of(connection, tenant) if agent is None else [agent]
        table = routing_table.load(connection, tenant)
    if not agents:
        raise NotFound("run", task_type, store.url)
    return [_route(router, table.get(task_type), tenant, name, task_type) for name in agents]


def trends(store: Store, *, tenant: str, now: datetime) -> list[Trend]:
    """Return the loss trend of every agent."""
    with store.read() as connection:
        agents = performance.agents_of(connection, tenant)
        return [losses.trend(connection, tenant=tenant, agent=agent, now=now) for agent in agents]


def alarms(store: Store, *, tenant: str, agent: str) -> list[DriftAlarm]:
    """Return the drift alarms of an agent, oldest first."""
    with store.read() as connection:
        return health.alarms_of(connection, tenant, agent)


def _route(router: Router, row: Routing | None, tenant: str, agent: str, task_type: str) -> RouteReport:
    request = Request(tenant=tenant, agent=agent, task_type=task_type)
    slate = router.preview(request)
    ranked = sorted(slate.candidates, key=lambda candidate: -candidate.probability)
    return RouteReport(
        agent=agent,
        task_type=task_type,
        rule=slate.rule,
        reason=slate.why,
        price_of_cost=slate.price_of_cost,
        candidates=ranked,
        fallbacks=router.chain(request, ranked[0].model),
        configured=row,
        spend=router.belief(tenant, agent).knowledge.spend,
    )


def _models_of(belief: Belief, agent: str) -> list[ModelReport]:
    return [
        _model(belief, agent, task_type, model) for task_type in sorted(belief.types) for model in sorted(belief.models)
    ]


def _model(belief: Belief, agent: str, task_type: str, model: str) -> ModelReport:
    t, k = belief.type_index(task_type), belief.arm(model) or 0
    mean = float(belief.quality.mean[t, k])
    margin = 1.96 * float(belief.quality.covariance[t, k, k]) ** 0.5
    cells = [c for c in belief.knowledge.cells if c.task_type == task_type and c.model == model]
    ratings = sum(c.n_rating for c in cells)
    state = belief.knowledge.health.get(model)
    return ModelReport(
        agent=agent,
        task_type=task_type,
        model=model,
        runs=float(belief.observed[t, k]),
        quality=min(1.0, max(0.0, mean)),
        quality_low=min(1.0, max(0.0, mean - margin)),
        quality_high=min(1.0, max(0.0, mean + margin)),
        cost_usd=known(belief.cost[t, k]),
        latency_s=known(belief.latency[t, k]),
        rating=sum(c.sum_rating for c in cells) / ratings if ratings else None,
        transport_failures=sum(c.transport_failures for c in cells),
        epoch=belief.epoch(model),
        drift_evidence=state.evidence if state is not None else 0.0,
    )
