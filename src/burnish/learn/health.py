"""Watch each model for getting worse than its own record, and start a new epoch when it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select, update

from burnish.capture.ledger import to_record
from burnish.capture.records import RunRecord
from burnish.events import DriftAlarm
from burnish.ids import IdSource
from burnish.score.scoring import Scored
from burnish.stats import drift
from burnish.store.rows import inserter
from burnish.store.schema.learn import drift_alarms, model_health

COOLDOWN = 50
"""Runs of the agent after an alarm during which the drift rule may step in."""

Predict = Callable[[str, str, str, str], float]
"""(tenant, agent, task type, model) → quality expected before the run was seen."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """One model of one agent. `wealth` is the state of the detector."""

    tenant: str
    agent: str
    model: str
    epoch: int = 0
    observed: int = 0
    wealth: tuple[float, float, float] = (0.0, 0.0, 0.0)
    cooldown: int = 0

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
        alarm = _observe(states, item.run, model, epoch, quality, expected)
        if alarm is not None:
            alarms.append(alarm)
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
    fresh = [(ids(), now, *key, 0, 0, (0.0, 0.0, 0.0), 0) for key in sorted(keys)]
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


def _observe(
    states: States, run: RunRecord, model: str, epoch: int, quality: float, expected: float
) -> DriftAlarm | None:
    key = (run.tenant, run.agent, model)
    state = states[key]
    if epoch < state.epoch:
        return None  # chosen before the last alarm: it says nothing about the model as it is now
    moved = drift.update(drift.DriftState(state.wealth), predicted=expected, observed=quality)
    observed = state.observed + 1
    if not moved.alarmed():
        states[key] = msgspec.structs.replace(state, observed=observed, wealth=moved.wealth)
        return None
    states[key] = msgspec.structs.replace(
        state, epoch=state.epoch + 1, observed=0, wealth=(0.0, 0.0, 0.0), cooldown=COOLDOWN
    )
    return DriftAlarm(
        tenant=run.tenant, agent=run.agent, model=model, run_id=run.id, evidence=moved.evidence, observed=observed
    )


def _store(connection: Connection, states: Sequence[Health]) -> None:
    for state in states:
        table = model_health
        where = (table.c.tenant == state.tenant, table.c.agent == state.agent, table.c.model == state.model)
        values = {
            "epoch": state.epoch,
            "observed": state.observed,
            "drift_state": state.wealth,
            "cooldown": state.cooldown,
        }
        connection.execute(update(table).where(*where).values(**values))


def _health(row: dict[str, object]) -> Health:
    return to_record({**row, "wealth": row["drift_state"]}, Health)


def _alarm_row(alarm: DriftAlarm, epoch: int, ids: IdSource, now: datetime) -> tuple[object, ...]:
    note = f"{alarm.model} scored below its own record over {alarm.observed} runs (evidence {alarm.evidence:,.0f})"
    return (
        ids(), now, alarm.tenant, alarm.agent, alarm.model, epoch, alarm.run_id, alarm.evidence, alarm.observed, note
    )  # fmt: skip
