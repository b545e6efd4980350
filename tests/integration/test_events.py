"""The message bus: what the loop tells, and what a host tells the loop."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

import burnish
from burnish.errors import InvalidValue
from burnish.store.schema.capture import pool_events

OpenLoop = Callable[..., burnish.Loop]


def test_a_run_announces_its_decision_its_record_and_its_new_score(open_loop: OpenLoop) -> None:
    loop = open_loop(models=["a", "b"])
    heard: list[object] = []
    for event in (burnish.RoutingDecision, burnish.ExecutionRecorded, burnish.RunRescored):
        loop.on(event, heard.append)
    with loop.run(agent="coder", task_type="code") as run:
        decision = run.decide()
        run.call({"model": decision.model, "cost_usd": 0.5})
        run.outcome(success=True)
    loop.flush()
    loop.feedback(run.id, success=False)
    loop.flush()
    chosen, recorded, rescored = heard
    assert isinstance(chosen, burnish.RoutingDecision)
    assert (chosen.run_id, chosen.model, chosen.propensity) == (run.id, decision.model, decision.propensity)
    assert isinstance(recorded, burnish.ExecutionRecorded)
    assert (recorded.quality, recorded.loss, recorded.cost_usd) == (1.0, 0.0, 0.5)
    assert isinstance(rescored, burnish.RunRescored)
    assert (rescored.before, rescored.after) == (0.0, 1.0)


def test_a_handler_can_be_taken_off_again(open_loop: OpenLoop) -> None:
    loop = open_loop()
    heard: list[burnish.ExecutionRecorded] = []
    off = loop.on(burnish.ExecutionRecorded, heard.append)
    for _ in range(2):
        with loop.run(agent="coder") as run:
            run.outcome(success=True)
        loop.flush()
        off()
    assert len(heard) == 1


def test_a_task_completed_in_the_host_becomes_a_scored_run(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url)
    loop.publish(
        burnish.TaskCompleted(
            task_id="t-1",
            agent="worker",
            task_type="sweep",
            model="m-1",
            success=True,
            quality=0.75,
            duration_s=12.5,
            cost_usd=0.03,
            facts={"project": "web", "pool": "gpu", "tier": "small", "complexity": 4, "estimated_cost_usd": 0.02},
        )
    )
    loop.flush()
    run = loop.runs(agent="worker")[0]
    assert (run.duration_s, run.cost_usd, run.quality, run.model) == (12.5, 0.03, 0.75, "m-1")
    assert (run.project, run.pool, run.tier, run.complexity) == ("web", "gpu", "small", 4)
    assert run.extra == {"task_id": "t-1"}
    assert run.prediction_error["cost_usd"] == pytest.approx(0.01)
    report = loop.models(agent="worker")[0]
    assert (report.model, report.runs) == ("m-1", 1.0)
    assert report.cost_usd == pytest.approx(0.03)


def test_pool_events_of_the_host_are_kept(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url)
    loop.publish(burnish.PoolCreated(pool="gpu", facts={"workers": 4}))
    loop.publish(burnish.PoolClosed(pool="gpu"))
    loop.flush()
    with loop.store.read() as connection:
        rows = connection.execute(
            select(pool_events.c.pool, pool_events.c.kind, pool_events.c.facts).order_by(pool_events.c.id)
        )
        assert [tuple(row) for row in rows] == [("gpu", "created", {"workers": 4}), ("gpu", "closed", {})]


def test_a_hostile_pool_event_is_refused_by_name(open_loop: OpenLoop) -> None:
    loop = open_loop()
    with pytest.raises(InvalidValue, match="pool"):
        loop.publish(burnish.PoolCreated(pool=""))
    with pytest.raises(InvalidValue, match="facts"):
        loop.publish(burnish.PoolCreated(pool="gpu", facts={"load": float("nan")}))
