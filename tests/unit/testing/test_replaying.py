"""Policies replayed on recorded outcomes: what is recorded decides, and the better policy passes."""

from __future__ import annotations

import pytest

from burnish.demo.performance import world_of
from burnish.errors import InvalidValue
from burnish.propose.policy import Policy, RoutingRule
from burnish.testing.replaying import RecordedRunner, items_of, model_of, require_known
from burnish.testing.world import RecordedWorld
from burnish.trial.replay import replay
from burnish.trial.replay_record import ReplayItem, ReplayReport


@pytest.fixture(scope="module")
def world() -> RecordedWorld:
    """The recorded matrix that ships with the demo: 1,112 tasks × 5 models."""
    return world_of(None)[0]


def policy(*models: str, **by_type: str) -> Policy:
    rules = [RoutingRule(when={"task_type": name}, model=model) for name, model in by_type.items()]
    return Policy(
        tenant="t", agent="a", models=models, routing=rules, author="learner:test", created="2026-01-01T00:00:00Z"
    )


def judged(world: RecordedWorld, candidate: Policy, baseline: Policy | None, workers: int = 1) -> ReplayReport:
    return replay(candidate, baseline, items_of(world), RecordedRunner(world), workers=workers, method="recorded")


def test_routing_each_type_to_its_best_model_passes_against_the_best_single_model(world: RecordedWorld) -> None:
    best = world.references(price=0.0)
    single = policy(best.best_single.models["bug_fixing"])
    routed = policy(**best.type_oracle.models)
    report = judged(world, routed, single)
    assert report.verdict == "pass"
    assert report.items == len(world.tasks)
    assert report.candidate_loss == pytest.approx(best.type_oracle.loss)
    assert report.baseline_loss == pytest.approx(best.best_single.loss)
    assert report.mean_delta == pytest.approx(best.type_oracle.loss - best.best_single.loss)
    assert report.candidate_cost_usd == pytest.approx(best.type_oracle.cost_usd)
    assert {one.task_type for one in report.by_type if one.mean_delta < 0} == {"information_gathering"}
    assert judged(world, routed, single, workers=4) == report


def test_routing_everything_to_the_worst_model_fails(world: RecordedWorld) -> None:
    single = policy(world.references(price=0.0).best_single.models["bug_fixing"])
    report = judged(world, policy("DeepSeek-V4-Pro"), single)
    assert report.verdict == "fail"
    assert report.low is not None
    assert report.low > 0.1
    assert report.regressed > report.improved
    assert all(one.delta == 1.0 for one in report.regressions)


def test_against_a_random_choice_the_seeds_differ_and_the_verdict_does_not(world: RecordedWorld) -> None:
    best = world.references(price=0.0)
    report = judged(world, policy(**best.type_oracle.models), None)
    assert report.verdict == "pass"
    assert report.stability is not None
    assert report.stability > 0.0
    assert report.baseline_loss == pytest.approx(best.random.loss, abs=0.02)


def test_a_rule_decides_then_the_first_model_then_a_draw_by_seed_and_item(world: RecordedWorld) -> None:
    code, other = ReplayItem(id="1", task_type="code"), ReplayItem(id="2", task_type="chat")
    ruled = policy("first", "second", code="ruled")
    assert model_of(ruled, code, 0, world) == "ruled"
    assert model_of(ruled, other, 0, world) == "first"
    draws = [model_of(None, ReplayItem(id=str(n)), seed, world) for n in range(200) for seed in (0, 1)]
    assert {*draws} == {*world.models}
    assert draws == [model_of(policy(), ReplayItem(id=str(n)), seed, world) for n in range(200) for seed in (0, 1)]
    assert draws[::2] != draws[1::2]


def test_a_cost_over_budget_is_part_of_the_loss(world: RecordedWorld) -> None:
    item, model = items_of(world)[0], world.models[0]
    cost = world.outcome(item.id, model).cost_usd
    plain = RecordedRunner(world)(policy(model), item, 0)
    pinched = RecordedRunner(world, budget_usd=cost / 2)(policy(model), item, 0)
    weighed = RecordedRunner(world, budget_usd=cost / 2, weights={"cost_overrun": 0.0})(policy(model), item, 0)
    assert pinched.loss == pytest.approx((0.3 * (plain.loss or 0.0) + 0.15) / 0.45)
    assert weighed.loss == plain.loss


def test_a_policy_with_a_model_that_was_not_recorded_is_refused_before_and_is_a_failure_within(
    world: RecordedWorld,
) -> None:
    unknown = policy(world.models[0], code="nobody")
    with pytest.raises(InvalidValue, match=r"'nobody'.*it has DeepSeek-V4-Pro"):
        require_known(unknown, world)
    require_known(policy(*world.models), world)
    report = judged(world, policy("nobody"), policy(world.models[0]))
    assert report.candidate_failures == 3 * len(world.tasks)
    assert report.verdict == "fail"
