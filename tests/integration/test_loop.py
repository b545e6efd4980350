"""The loop as a host uses it, on both databases."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

import burnish

OpenLoop = Callable[..., burnish.Loop]
SUCCESS = {"easy": {"small": 0.9, "large": 0.9}, "hard": {"small": 0.2, "large": 0.9}}
COST = {"small": 0.01, "large": 0.5}


def play(loop: burnish.Loop, runs: int, seed: int = 5) -> list[str]:
    """Run tasks whose outcome depends on type and model; returns the ids."""
    rng = random.Random(seed)
    ids = []
    for step in range(runs):
        task_type = rng.choice(["easy", "hard"])
        with loop.run(agent="coder", task="do it", task_type=task_type) as run:
            model = run.decide().model
            good = rng.random() < SUCCESS[task_type][model]
            run.call({"model": model, "cost_usd": COST[model], "input_tokens": 10, "output_tokens": 5})
            run.outcome(success=good)
        ids.append(run.id)
        if step % 10 == 9:
            loop.flush()
    loop.flush()
    return ids


def test_the_router_learns_which_model_serves_which_task_type(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url, models=["small", "large"])
    play(loop, 300)
    by_type = {
        task_type: {c.model: c.probability for c in loop.route(task_type, agent="coder")[0].candidates}
        for task_type in ("easy", "hard")
    }
    assert by_type["hard"]["large"] > 0.9
    assert by_type["easy"]["small"] > 0.7


def test_a_restarted_process_decides_as_before(open_loop: OpenLoop, store_url: str) -> None:
    first = open_loop(store_url, models=["small", "large"])
    play(first, 100)
    before = first.route("hard", agent="coder")[0]
    first.close()
    second = open_loop(store_url, models=["small", "large"])
    after = second.route("hard", agent="coder")[0]
    assert [c.probability for c in after.candidates] == [c.probability for c in before.candidates]
    assert after.fallbacks == before.fallbacks


def test_late_feedback_changes_loss_and_belief_once(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url, models=["small", "large"])
    run_id = play(loop, 20)[-1]
    before = loop.explain(run_id)
    model = before.run.model
    total = sum(report.runs for report in loop.models(agent="coder"))
    for _ in range(3):
        loop.feedback(run_id, rating=1, correction="wrong order")
    loop.flush()
    after = loop.explain(run_id)
    assert [record.cause for record in after.losses] == ["run recorded", "late evidence"]
    assert after.run.user_rating == 1
    assert after.losses[-1].quality == 0.0
    assert after.losses[-1].model == model
    assert sum(report.runs for report in loop.models(agent="coder")) == pytest.approx(total)


def test_every_decision_carries_the_exact_propensities_it_was_drawn_from(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url, models=["small", "large"])
    for run_id in play(loop, 30):
        decision = loop.explain(run_id).decisions[0]
        chosen = [c for c in decision.candidates if c["model"] == decision.model]
        assert chosen[0]["probability"] == decision.propensity
        assert sum(float(str(c["probability"])) for c in decision.candidates) == pytest.approx(1.0)
        assert decision.reason


def test_nested_runs_know_their_parent_and_root(open_loop: OpenLoop) -> None:
    loop = open_loop()
    with loop.run(agent="planner", task_type="plan") as outer:
        with loop.run(agent="coder", task_type="code") as middle, loop.run(agent="tester", task_type="test") as inner:
            inner.outcome(success=True)
        middle.outcome(success=True)
    loop.flush()
    found = loop.explain(inner.id).run
    assert (found.parent_id, found.root_id) == (middle.id, outer.id)
    assert loop.explain(outer.id).children == [middle.id]


async def test_async_with_does_as_with_does(open_loop: OpenLoop) -> None:
    loop = open_loop(models=["small"])
    async with loop.run(agent="coder", task_type="code") as run:
        run.call({"model": run.decide().model, "cost_usd": 0.1})
        run.outcome(success=True)
    loop.flush()
    assert loop.explain(run.id).run.cost_usd == pytest.approx(0.1)


def test_a_new_agent_does_not_wait_for_a_store_that_is_away(
    open_loop: OpenLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = open_loop(models=["small", "large"])
    play(loop, 40)
    with monkeypatch.context() as away:
        away.setattr(loop.recorder, "_pause", time.monotonic() + 60)
        away.setattr(loop.store, "read", lambda: pytest.fail("the store was read"))
        with loop.run(agent="newcomer", task_type="hard") as run:
            assert run.decide().model in {"small", "large"}
