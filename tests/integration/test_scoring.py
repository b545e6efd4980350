"""Losses in the ledger: weights per tenant, agent and phase, late evidence, terms of one's own, trends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

import burnish
from burnish.errors import InvalidValue
from burnish.testing.clock import FakeClock

OpenLoop = Callable[..., burnish.Loop]


def one(loop: burnish.Loop, phase: str | None = None) -> str:
    """Record one run with a failed gate and no contradictions; returns its id."""
    with loop.run(agent="coder", task_type="code", phase=phase) as run:
        run.gate("tests", passed=False)
        run.signal("contradictions", 0)
    loop.flush()
    return run.id


def test_weights_are_looked_up_by_phase_then_agent_then_tenant(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url)
    rest = dict.fromkeys(
        [
            "ungrounded",
            "cost_overrun",
            "latency_overrun",
            "security",
            "api_breakages",
            "migration_failures",
            "rag_uncovered",
        ],
        0,
    )
    loop.configure("score.weights", {**rest, "gate_failures": 0.5, "contradictions": 0.5})
    loop.configure("score.weights", {**rest, "gate_failures": 0.8, "contradictions": 0.2}, agent="coder")
    loop.configure("score.weights", {**rest, "gate_failures": 0.1, "contradictions": 0.9}, agent="coder", phase="plan")
    assert loop.explain(one(loop)).run.loss == pytest.approx(0.8)
    assert loop.explain(one(loop, phase="plan")).run.loss == pytest.approx(0.1)
    assert loop.explain(one(loop, phase="build")).run.loss == pytest.approx(0.8)
    with loop.run(agent="other", task_type="code") as run:
        run.gate("tests", passed=False)
        run.signal("contradictions", 0)
    loop.flush()
    assert loop.explain(run.id).run.loss == pytest.approx(0.5)


def test_each_computation_keeps_its_inputs_and_weights(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url)
    run_id = one(loop)
    loop.signal(run_id, "security_criticals", 2)
    loop.flush()
    first, second = loop.explain(run_id).losses
    assert first.security is None
    assert second.security == pytest.approx(0.8647, abs=1e-4)
    assert second.vetoed
    assert second.loss == pytest.approx(0.8647, abs=1e-4)
    assert first.inputs != second.inputs
    assert sum(part["contribution"] for part in second.breakdown.values()) == pytest.approx(second.loss)


def test_a_signal_that_comes_before_its_run_is_not_lost(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url)
    run = loop.run(agent="coder", task_type="code")
    loop.feedback(run.id, rating=1)
    loop.flush()
    run.outcome(success=True)
    run.finish()
    loop.flush()
    found = loop.explain(run.id)
    assert found.run.user_rating == 1
    assert len(found.losses) == 1
    assert found.losses[0].quality == 0.0


def test_a_registered_term_is_part_of_the_loss_and_a_failing_one_is_missing(open_loop: OpenLoop) -> None:
    loop = open_loop()
    problems: list[burnish.CaptureProblem] = []
    loop.on(burnish.CaptureProblem, problems.append)
    loop.register_term("rudeness", lambda evidence: evidence.signals.get("rudeness"), weight=1.0)
    loop.register_term("broken", lambda evidence: 1 / len(evidence.latencies_s), weight=1.0)
    with loop.run(agent="coder", task_type="chat") as run:
        run.outcome(success=True)
        run.signal("rudeness", 1.0)
    loop.flush()
    record = loop.explain(run.id).losses[0]
    assert record.loss == pytest.approx(1.0 / 1.3)
    assert record.extra_terms == {"rudeness": 1.0, "broken": None}
    assert [problem.what for problem in problems] == ["term broken"]


def test_an_unknown_weight_is_refused_and_changes_nothing(open_loop: OpenLoop) -> None:
    loop = open_loop()
    with pytest.raises(InvalidValue, match="no such term"):
        loop.configure("score.weights", {"gate_failure": 1.0})
    assert loop.explain(one(loop)).losses[0].weights["gate_failures"] == pytest.approx(0.3)


def test_the_trend_compares_the_last_days_with_those_before(open_loop: OpenLoop, store_url: str) -> None:
    clock = FakeClock(datetime(2026, 5, 1, tzinfo=UTC))
    loop = open_loop(store_url, clock=clock)
    for days, good in ((20, False), (10, False), (3, True), (1, True)):
        started = clock.now() - timedelta(days=days)
        with loop.run(agent="coder", task_type="code", started_at=started) as run:
            run.call({"model": "m", "cost_usd": 0.1})
            run.outcome(success=good)
    loop.flush()
    found = loop.trends()[0]
    assert found.runs == 4
    assert found.mean_loss == pytest.approx(0.5)
    assert found.change_7d == pytest.approx(-1.0)
    assert found.change_30d is None


def test_the_record_holds_estimates_and_what_became_of_them(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url)
    with loop.run(
        agent="coder",
        task_type="code",
        task="Fix it",
        estimated_cost_usd=0.10,
        estimated_quality=0.9,
        estimated_duration_s=5.0,
        estimated_tokens=100,
        complexity=7,
        tier="medium",
        pool="gpu",
        project="web",
        phase="build",
        conversation="c-1",
        user="u-1",
        embedding_text="fix it",
        features={"language": "python", "files": 3},
    ) as run:
        run.call({"model": "m", "cost_usd": 0.25, "prompt_tokens": 70, "completion_tokens": 30}, latency_s=1.0)
        run.outcome(quality=0.5, accepted=True, rating=4, summary="one-line fix")
    loop.flush()
    found = loop.explain(run.id)
    assert found.prediction_error["cost_usd"] == pytest.approx(0.15)
    assert found.prediction_error["quality"] == pytest.approx(-0.4)
    assert found.prediction_error["duration_s"] == pytest.approx(found.run.duration_s - 5.0)
    assert (found.run.complexity, found.run.tier, found.run.pool, found.run.project) == (7, "medium", "gpu", "web")
    assert found.run.peak_memory_mb is not None
    assert found.run.peak_memory_mb > 1
    assert found.run.cpu_time_s is not None
    assert (found.run.user_accepted, found.run.user_rating, found.run.embedding_text) == (True, 4, "fix it")
    assert found.run.features == {"language": "python", "files": 3}
