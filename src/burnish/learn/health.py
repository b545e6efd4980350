"""Watch each model for getting worse than its own record, and start a new epoch when it does.

A run is credited to the epoch in which its model was chosen, so the runs that gave the alarm away sit in the old epoch
at first. They are the best evidence of the new state: on the alarm, what was seen since the detector last stood at rest
moves to the new epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, bindparam, select, update

from burnish.capture.ledger import to_record
from burnish.capture.records import RunRecord
from burnish.events import DriftAlarm
from burnish.ids import IdSource
from burnish.learn.performance import Sums
from burnish.score.scoring import Scored
from burnish.stats import drift
from burnish.store.rows import accumulator, inserter
from burnish.store.schema.learn import drift_alarms, model_health, model_performance

COOLDOWN = 50
"""Runs of the agent after an alarm during which the drift rule may step in."""

AT_REST = 1.0
"""Evidence at which the detector has nothing against the model: it began there."""

Predict = Callable[[str, str, str, str], tuple[float, float]]
"""(tenant, agent, task type, model) → quality expected before the run was seen, and its sd."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """One model of one agent. `wealth` is the state of the detector."""

    tenant: str
    agent: str
    model: str
    epoch: int = 0
    observed: int = 0
    wealth: tuple[float, float, float] = (0.0, 0.0, 0.0)
    since: Mapping[str, tuple[int, float, float]] = {}
    """What was seen since the detector last stood at rest: (runs, Σ quality, Σ quality²) by task type."""
    cooldown: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """Return (tenant, agent, model)."""
        return self.tenant, self.agent, self.model

    @property
    def alarmed(self) -> bool:
        """Tell whether the evidence has reached the alarm."""
        return drift.DriftState(self.wealth).alarmed()

    @property
    def evidence(self) -> float:
        """Return the evidence that the model got worse; the alarm is at `drift.ALARM`."""
        return drift.DriftState(self.wealth).evidence


def watch(
    connection: Connection, kind: str, scored: Sequence[Scored], predict: Predict, *, ids: IdSource, now: datetime
) -> list[DriftAlarm]:
    """Feed first scores to the detectors, in order; returns the alarms they raised."""
    fresh = [(item, credit) for item in scored if item.first and (credit := item.credited(item.quality)) is not None]
    if not fresh:
        return []
    keys = {(item.run.tenant, item.run.agent, model) for item, (model, _, _) in fresh}
    states = _locked(connection, kind, keys, ids, now)
    alarms: list[DriftAlarm] = []
    for item, (model, epoch, quality) in fresh:
        _cool(states, item.run.tenant, item.run.agent)
        expected = predict(item.run.tenant, item.run.agent, item.run.task_type, model)
        before, after = _observed(states, item.run, model, epoch, quality, expected)
        if after.alarmed:
            alarms.append(_alarm(item.run, after))
            _begin_epoch(connection, kind, after, ids, now)
            after = Health(
                tenant=after.tenant, agent=after.agent, model=model, epoch=before.epoch + 1, cooldown=COOLDOWN
            )
        states[before.key] = after
    _store(connection, list(states.values()))
    rows = [_alarm_row(alarm, states[alarm.tenant, alarm.agent, alarm.model].epoch, ids, now) for alarm in alarms]
    inserter(drift_alarms, kind)(connection, rows)
    return alarms


def health_of(connection: Connection, tenant: str, agent: str) -> dict[str, Health]:
    """Return the health of every model of an agent, by model."""
    table = model_health
    query = select(table).where(table.c.tenant == tenant, table.c.agent == agent).order_by(table.c.model)
    return {row["model"]: _health(dict(row)) for row in connection.execute(query).mappings()}


def alarms_of(connection: Connection, tenant: str, agent: str) -> list[DriftAlarm]:
    """Return every alarm of an agent, oldest first."""
    table = drift_alarms
    query = select(table).where(table.c.tenant == tenant, table.c.agent == agent).order_by(table.c.id)
    return [to_record(row, DriftAlarm) for row in connection.execute(query).mappings()]


States = dict[tuple[str, str, str], Health]


def _locked(connection: Connection, kind: str, keys: set[tuple[str, str, str]], ids: IdSource, now: datetime) -> States:
    """Return the state of these models and of all others of the same agents, locked until commit."""
    fresh = [(ids(), now, *key, 0, 0, {"wealth": (0.0, 0.0, 0.0), "since": {}}, 0) for key in sorted(keys)]
    inserter(model_health, kind)(connection, fresh)
    table = model_health
    states: States = {}
    for tenant, agent in sorted({key[:2] for key in keys}):
        query = select(table).where(table.c.tenant == tenant, table.c.agent == agent)
        for row in connection.execute(query.order_by(table.c.model).with_for_update()).mappings():
            states[tenant, agent, row["model"]] = _health(dict(row))
    return states


def _cool(states: States, tenant: str, agent: str) -> None:
    for key, state in states.items():
        if state.cooldown and key[:2] == (tenant, agent):
            states[key] = msgspec.structs.replace(state, cooldown=state.cooldown - 1)


def _observed(
    states: States, run: RunRecord, model: str, epoch: int, quality: float, expected: tuple[float, float]
) -> tuple[Health, Health]:
    """Return the model's state before and after one run."""
    state = states[run.tenant, run.agent, model]
    if epoch < state.epoch:
        return state, state  # chosen before the last alarm: it says nothing about the model as it is now
    moved = drift.update(drift.DriftState(state.wealth), predicted=expected[0], observed=quality, spread=expected[1])
    n, total, squares = state.since.get(run.task_type, (0, 0.0, 0.0))
    seen = {**state.since, run.task_type: (n + 1, total + quality, squares + quality * quality)}
    since = {} if moved.evidence <= AT_REST else seen
    return state, msgspec.structs.replace(state, observed=state.observed + 1, wealth=moved.wealth, since=since)


def _alarm(run: RunRecord, state: Health) -> DriftAlarm:
    return DriftAlarm(
        tenant=state.tenant,
        agent=state.agent,
        model=state.model,
        run_id=run.id,
        evidence=state.evidence,
        observed=state.observed,
    )


def _begin_epoch(connection: Connection, kind: str, state: Health, ids: IdSource, now: datetime) -> None:
    """Move what gave the alarm away from the old epoch's cells to the new one's."""
    rows = []
    for task_type, seen in state.since.items():
        for epoch, sign in ((state.epoch, -1), (state.epoch + 1, 1)):
            sums = Sums(n_quality=sign * seen[0], sum_quality=sign * seen[1], sum_quality_sq=sign * seen[2])
            rows.append(
                (ids(), now, state.tenant, state.agent, task_type, state.model, epoch, *msgspec.structs.astuple(sums))
            )
    accumulator(model_performance, kind)(connection, rows)


def _store(connection: Connection, states: Sequence[Health]) -> None:
    table = model_health
    keys = ("tenant", "agent", "model")
    query = update(table).where(*(table.c[name] == bindparam(f"of_{name}") for name in keys))
    rows = [
        {
            "of_tenant": state.tenant,
            "of_agent": state.agent,
            "of_model": state.model,
            "epoch": state.epoch,
            "observed": state.observed,
            "drift_state": {"wealth": state.wealth, "since": state.since},
            "cooldown": state.cooldown,
        }
        for state in states
    ]
    names = ("epoch", "observed", "drift_state", "cooldown")
    connection.execute(query.values({name: bindparam(name) for name in names}), rows)


def _health(row: dict[str, object]) -> Health:
    state = row["drift_state"]
    return to_record({**row, **(state if isinstance(state, dict) else {})}, Health)


def _alarm_row(alarm: DriftAlarm, epoch: int, ids: IdSource, now: datetime) -> tuple[object, ...]:
    note = f"{alarm.model} scored below its own record over {alarm.observed} runs (evidence {alarm.evidence:,.0f})"
    return (
        ids(), now, alarm.tenant, alarm.agent, alarm.model, epoch, alarm.run_id, alarm.evidence, alarm.observed, note
    )  # fmt: skip
