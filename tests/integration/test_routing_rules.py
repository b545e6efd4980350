"""The rules of a decision, in their order, each shown by the run it decides."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping

import pytest

import burnish

OpenLoop = Callable[..., burnish.Loop]
Quality = Mapping[str, float]


def run_one(
    loop: burnish.Loop, rng: random.Random, quality: Quality, cost: Mapping[str, float], task_type: str = "code"
) -> burnish.Decision:
    """Run one task; returns its decision."""
    with loop.run(agent="coder", task_type=task_type) as run:
        decision = run.decide(models=list(quality))
        run.call({"model": decision.model, "cost_usd": cost[decision.model]})
        run.outcome(success=rng.random() < quality[decision.model])
    loop.flush()
    return decision


def test_without_models_the_error_says_how_to_name_some(open_loop: OpenLoop) -> None:
    loop = open_loop()
    with pytest.raises(burnish.NoEligibleModel, match="pass models="), loop.run(agent="coder") as run:
        run.decide()


def test_a_pinned_task_type_always_gets_its_model(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url, models=["small", "large"])
    loop.set_routing("code", mode="pinned", model="large")
    for _ in range(20):
        with loop.run(agent="coder", task_type="code") as run:
            decision = run.decide()
            run.outcome(success=False)
        assert (decision.model, decision.rule, decision.propensity) == ("large", "configured", 1.0)
    loop.flush()


def test_the_nine_seeded_task_types_start_with_their_family_and_then_learn(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url, models=["vendor/opus-9", "vendor/sonnet-9"])
    rng = random.Random(1)
    rows = {report.configured.task_type for name in SEEDED for report in _route(loop, name) if report.configured}
    assert rows == set(SEEDED)
    first = run_one(
        loop,
        rng,
        {"vendor/opus-9": 0.9, "vendor/sonnet-9": 0.9},
        dict.fromkeys(["vendor/opus-9", "vendor/sonnet-9"], 0.1),
        "reflection",
    )
    assert first.rule == "configured"
    assert "vendor/opus-9" in first.reason
    for _ in range(10):
        last = run_one(
            loop,
            rng,
            {"vendor/opus-9": 0.9, "vendor/sonnet-9": 0.9},
            dict.fromkeys(["vendor/opus-9", "vendor/sonnet-9"], 0.1),
            "reflection",
        )
    assert last.rule == "learned"


SEEDED = (
    "email_extraction",
    "checklist_update",
    "disclosure_generation",
    "negotiation_analysis",
    "document_drafting",
    "self_evaluation",
    "consistency_check",
    "reflection",
    "meta_intervention",
)


def _route(loop: burnish.Loop, task_type: str) -> list[burnish.answers.RouteReport]:
    return loop.route(task_type, agent="coder")


def test_consecutive_scores_are_counted_and_flagged(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url, models=["small"])
    rng = random.Random(1)
    for _ in range(6):
        run_one(loop, rng, {"small": 0.0}, {"small": 0.1})
    row = _route(loop, "code")[0].configured
    assert row is not None
    assert (row.current_model, row.consecutive_low_scores, row.promotion_flag) == ("small", 6, True)
    for _ in range(5):
        run_one(loop, rng, {"small": 1.0}, {"small": 0.1})
    row = _route(loop, "code")[0].configured
    assert row is not None
    assert (row.consecutive_low_scores, row.consecutive_high_scores) == (0, 5)
    assert (row.promotion_flag, row.demotion_review) == (False, True)


def test_every_eligible_model_keeps_its_share_of_the_floor(open_loop: OpenLoop) -> None:
    loop = open_loop(models=["good", "bad"])
    loop.configure("route.floor", 0.1)
    rng = random.Random(2)
    for _ in range(60):
        decision = run_one(loop, rng, {"good": 1.0, "bad": 0.0}, {"good": 0.1, "bad": 0.1})
    assert 0.004 < decision.propensities["bad"] < 0.01  # far worse by now: a twentieth of an even share is left
    assert decision.propensities["good"] >= 0.9


def test_a_dear_model_is_used_only_where_its_quality_is_worth_the_price(open_loop: OpenLoop) -> None:
    loop = open_loop(models=["cheap", "dear"])
    rng = random.Random(3)
    for weight, favourite in ((0.01, "dear"), (1.0, "cheap")):
        loop.configure("route.cost_weight", weight)
        models = Counter(
            run_one(loop, rng, {"cheap": 0.6, "dear": 0.9}, {"cheap": 0.0, "dear": 1.0}).model for _ in range(120)
        )
        assert models.most_common(1)[0][0] == favourite


def test_a_cap_per_run_excludes_dear_models_and_says_so(open_loop: OpenLoop) -> None:
    loop = open_loop(models=["cheap", "dear"])
    rng = random.Random(4)
    quality, cost = {"cheap": 0.2, "dear": 1.0}, {"cheap": 0.1, "dear": 2.0}
    for _ in range(40):
        run_one(loop, rng, quality, cost)
    loop.configure("route.cap_usd_per_run", 1.0)
    decision = run_one(loop, rng, quality, cost)
    assert (decision.model, decision.rule, decision.propensity) == ("cheap", "only_choice", 1.0)
    excluded = {c.model: c.excluded for c in decision.slate.candidates}
    assert excluded["cheap"] is None
    assert "cap per run" in str(excluded["dear"])


def test_the_monthly_cap_is_never_planned_beyond(open_loop: OpenLoop) -> None:
    loop = open_loop(models=["cheap", "dear"])
    rng = random.Random(5)
    quality, cost = {"cheap": 0.2, "dear": 1.0}, {"cheap": 0.01, "dear": 1.0}
    loop.configure("route.cap_usd_per_month", 30.0)
    spent = 0.0
    for _ in range(120):
        spent += cost[run_one(loop, rng, quality, cost).model]
    assert 20.0 < spent < 33.0
    assert _route(loop, "code")[0].spend.month_spent_usd == pytest.approx(spent)


def test_a_budget_is_held_by_the_price_of_cost(open_loop: OpenLoop) -> None:
    loop = open_loop(models=["cheap", "dear"])
    loop.configure("route.budget_usd_per_run", 0.5)
    rng = random.Random(6)
    quality, cost = {"cheap": 0.5, "dear": 0.9}, {"cheap": 0.1, "dear": 1.0}
    spent = [cost[run_one(loop, rng, quality, cost).model] for _ in range(600)]
    assert sum(spent[200:]) / 400 == pytest.approx(0.5, rel=0.1)


def test_a_model_that_gets_worse_raises_an_alarm_and_is_routed_around(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url, models=["star", "spare"])
    alarms: list[burnish.DriftAlarm] = []
    loop.on(burnish.DriftAlarm, alarms.append)
    rng = random.Random(7)
    cost = {"star": 0.1, "spare": 0.1}
    for mode, model, runs in (("pinned", "spare", 60), ("learned", None, 150)):  # so that the spare is known well
        loop.set_routing("code", mode=mode, model=model)
        for _ in range(runs):
            run_one(loop, rng, {"star": 0.9, "spare": 0.6}, cost)
    assert alarms == []
    after = [run_one(loop, rng, {"star": 0.2, "spare": 0.6}, cost) for _ in range(150)]
    assert [alarm.model for alarm in alarms][:1] == ["star"]
    assert Counter(decision.model for decision in after[-50:]).most_common(1)[0][0] == "spare"
    drift = [decision for decision in after if decision.rule == "drift"]
    assert drift
    assert "star got worse" in drift[0].reason
    assert [alarm.run_id for alarm in loop.alarms(agent="coder")] == [alarm.run_id for alarm in alarms]


def test_a_very_novel_task_goes_to_the_safest_model(open_loop: OpenLoop) -> None:
    loop = open_loop(models=["steady", "cheap"])
    rng = random.Random(8)
    for _ in range(120):
        with loop.run(agent="coder", task_type="code", features={"language": "python"}) as run:
            model = run.decide().model
            run.call({"model": model, "cost_usd": {"steady": 2.0, "cheap": 0.01}[model]})
            run.outcome(success=rng.random() < {"steady": 0.95, "cheap": 0.85}[model])
        loop.flush()
    with loop.run(agent="coder", task_type="code", features={"language": "cobol"}) as run:
        decision = run.decide()
    assert decision.novelty is not None
    assert decision.novelty > 0.99
    assert decision.rule == "novelty"
    assert decision.propensities["steady"] > 0.9
    assert "novelty" in decision.reason


def test_novelty_is_known_again_after_a_restart(open_loop: OpenLoop, store_url: str) -> None:
    first = open_loop(store_url, models=["a"])
    for _ in range(40):
        with first.run(agent="coder", task_type="code", features={"language": "python"}) as run:
            run.decide()
            run.outcome(success=True)
    first.close()
    second = open_loop(store_url, models=["a"])
    decisions = {}
    for language in ("python", "cobol"):
        with second.run(agent="coder", task_type="code", features={"language": language}) as run:
            decisions[language] = run.decide().novelty
    assert decisions["python"] == 0.0
    assert decisions["cobol"] is not None
    assert decisions["cobol"] > 0.9


def test_fallback_follows_what_rescued_such_failures_before(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url, models=["first", "twin", "other"])
    loop.set_routing("code", mode="pinned", model="first")
    for _ in range(40):
        with loop.run(agent="coder", task_type="code") as run:
            decision: burnish.Decision | None = run.decide()
            while decision is not None and decision.model != "other":
                decision = run.fallback("quality")
            run.outcome(success=decision is not None)
        loop.flush()
    with loop.run(agent="coder", task_type="code") as run:
        run.decide()
        chain = run.fallbacks()
        following = run.fallback("quality", error="tests failed")
        run.outcome(success=True)
    assert chain[0].model == "other"
    assert chain[0].quality > 0.8
    assert following is not None
    assert following.rule == "fallback"
    assert "first failed (quality)" in following.reason
    loop.flush()
    found = loop.explain(run.id)
    assert [decision.attempt for decision in found.decisions] == [0, 1]
    assert found.decisions[0].failure_kind == "quality"
    assert found.run.model == following.model


def test_a_transport_failure_is_not_held_against_the_models_quality(open_loop: OpenLoop) -> None:
    loop = open_loop(models=["a", "b"])
    loop.set_routing("code", mode="pinned", model="a")
    for _ in range(20):
        with loop.run(agent="coder", task_type="code") as run:
            run.decide()
            run.fallback("timeout")
            run.outcome(success=True)
    loop.flush()
    report = {r.model: r for r in loop.models(agent="coder")}
    assert report["a"].transport_failures == 20
    assert report["a"].runs == 0
    assert report["a"].quality >= 0.5


def test_a_host_that_calls_another_model_teaches_about_the_model_it_called(open_loop: OpenLoop) -> None:
    loop = open_loop(models=["a", "b"])
    loop.set_routing("code", mode="pinned", model="a")
    with loop.run(agent="coder", task_type="code") as run:
        run.decide()
        run.call({"model": "b", "cost_usd": 0.1})
        run.outcome(success=True)
    with loop.run(agent="coder", task_type="code") as dated:
        dated.decide()
        dated.call({"model": "a-2026-03-05", "cost_usd": 0.1})
        dated.outcome(success=True)
    loop.flush()
    assert loop.explain(run.id).run.model == "b"
    assert loop.explain(dated.id).run.model == "a"


def test_a_second_process_learns_what_the_first_one_saw(open_loop: OpenLoop, store_url: str) -> None:
    one, two = open_loop(store_url, models=["good", "bad"]), open_loop(store_url, models=["good", "bad"], seed=2)
    rng = random.Random(9)
    for _ in range(30):
        run_one(one, rng, {"good": 1.0, "bad": 0.0}, {"good": 0.1, "bad": 0.1})
        run_one(two, rng, {"good": 1.0, "bad": 0.0}, {"good": 0.1, "bad": 0.1})
    for loop in (one, two):
        loop.refresh()
    reports = [{r.model: (r.runs, r.quality) for r in loop.models(agent="coder")} for loop in (one, two)]
    assert reports[0] == reports[1]
    assert sum(runs for runs, _ in reports[0].values()) == 60


def test_a_transport_failure_with_nothing_left_to_try_is_not_held_against_the_model(open_loop: OpenLoop) -> None:
    loop = open_loop(models=["only"])
    for _ in range(10):
        with loop.run(agent="coder", task_type="code") as run:
            run.decide()
            assert run.fallback("timeout") is None
            assert run.fallback("timeout") is None
            run.outcome(success=False)
    loop.flush()
    report = loop.models(agent="coder")[0]
    assert (report.runs, report.transport_failures) == (0, 10)
    assert loop.explain(run.id).decisions[0].failure_kind == "timeout"


def test_a_retry_that_succeeds_after_a_transport_failure_is_credited(open_loop: OpenLoop) -> None:
    loop = open_loop(models=["only"])
    with loop.run(agent="coder", task_type="code") as run:
        run.decide()
        assert run.fallback("rate_limit") is None
        run.outcome(success=True)
    loop.flush()
    report = loop.models(agent="coder")[0]
    assert (report.runs, report.transport_failures) == (1, 1)
