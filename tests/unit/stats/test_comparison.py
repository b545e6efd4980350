"""Promotion and rollback evidence: a fair game without an effect, quick with one, exact under ramps and drift."""

import json
import math
import random
import statistics
from itertools import product

import pytest
from hypothesis import given, settings, strategies as st

from burnish.stats.comparison import PROMOTE, PROMOTE_AT, ROLLBACK, ROLLBACK_AT, Bets, Comparison

UNIT = st.floats(0.0, 1.0)
INSIDE = st.floats(0.02, 0.95)
CATEGORY = st.sampled_from(["", "fix", "write"])
PAST = st.lists(st.tuples(UNIT, st.sampled_from([True, False, None]), INSIDE, CATEGORY), max_size=25)
Past = list[tuple[float, bool | None, float, str]]
RAMP = ((0.01, 250), (0.05, 250), (0.10, 500), (0.25, 1000), (0.50, 3000))


def seen(past: Past, margin: float = 0.0) -> Comparison:
    comparison = Comparison(margin=margin)
    for loss, candidate, p, category in past:
        comparison.update(loss, candidate=candidate, p_candidate=p, p_control=(1.0 - p) * 0.99, category=category)
    return comparison


def copy(comparison: Comparison) -> Comparison:
    return Comparison.load(comparison.plain())


def agent_loss(rng: random.Random, effect: float = 0.0) -> float:
    """Draw a loss of mean .26 + effect: a good mode around .1, a bad one around .9."""
    return rng.betavariate(18, 2) if rng.random() < 0.2 + effect / 0.8 else rng.betavariate(2, 18)


@given(PAST, INSIDE, st.floats(0.05, 1.0), st.lists(UNIT, min_size=2, max_size=4))
def test_without_an_effect_the_expected_wealth_after_a_unit_is_the_wealth_before(
    past: Past, p1: float, rest: float, losses: list[float]
) -> None:
    p0 = (1.0 - p1) * rest
    before = seen(past)
    promote = rollback = 0.0
    for loss in losses:
        for candidate, p in ((True, p1), (False, p0), (None, 1.0 - p1 - p0)):
            after = copy(before)
            after.update(loss, candidate=candidate, p_candidate=p1, p_control=p0)
            promote += max(p, 0.0) / len(losses) * after.promote
            rollback += max(p, 0.0) / len(losses) * after.rollback
    assert promote == pytest.approx(before.promote, rel=1e-9)
    assert rollback == pytest.approx(before.rollback, rel=1e-9)


@settings(max_examples=25)
@given(st.lists(INSIDE, min_size=4, max_size=4), st.tuples(UNIT, UNIT), INSIDE)
def test_over_every_path_of_four_units_the_mean_wealth_is_one(
    ramp: list[float], losses: tuple[float, float], odds: float
) -> None:
    promote = rollback = total = 0.0
    for path in product(product((True, False), (0, 1)), repeat=4):
        chance, comparison = 1.0, Comparison()
        for p, (candidate, which) in zip(ramp, path, strict=True):
            chance *= (p if candidate else 1.0 - p) * (odds if which else 1.0 - odds)
            comparison.update(losses[which], candidate=candidate, p_candidate=p, p_control=1.0 - p)
        total += chance
        promote += chance * comparison.promote
        rollback += chance * comparison.rollback
    assert (total, promote, rollback) == pytest.approx((1.0, 1.0, 1.0))


@given(PAST, INSIDE, UNIT, st.floats(-0.9, 0.9))
def test_an_effect_of_the_margin_is_a_fair_game_for_rollback(past: Past, p: float, y0: float, margin: float) -> None:
    y1 = y0 + margin
    if not 0.0 <= y1 <= 1.0:
        y0, y1 = (1.0 - margin, 1.0) if margin > 0 else (-margin, 0.0)
    p0 = (1.0 - p) * 0.9
    before = seen(past, margin)
    mean = (1.0 - p - p0) * before.rollback
    for loss, candidate, chance in ((y1, True, p), (y0, False, p0)):
        after = copy(before)
        after.update(loss, candidate=candidate, p_candidate=p, p_control=p0)
        mean += chance * after.rollback
    assert mean == pytest.approx(before.rollback, rel=1e-9)


@given(PAST)
def test_a_comparison_survives_json_bit_for_bit_and_goes_on_the_same(past: Past) -> None:
    comparison = seen(past)
    restored = Comparison.load(json.loads(json.dumps(comparison.plain())))
    assert restored == comparison
    for each in (comparison, restored):
        each.update(0.3, candidate=True, p_candidate=0.1, p_control=0.9, category="fix")
    assert restored == comparison


def test_what_was_written_down_does_not_change_with_the_comparison() -> None:
    comparison = seen([(0.5, True, 0.5, "fix")])
    plain = comparison.plain()
    text = json.dumps(plain)
    comparison.update(0.9, candidate=True, p_candidate=0.5, p_control=0.5, category="fix")
    Comparison.load(plain).update(0.9, candidate=True, p_candidate=0.5, p_control=0.5, category="fix")
    assert json.dumps(plain) == text


@pytest.mark.parametrize("broken", [{"promote_logs": [0.0]}, {"rollback_logs": [0.0] * 4}, {"best_promote": "much"}])
def test_a_state_of_other_stakes_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"stakes|convert"):
        Comparison.load(Comparison().plain() | broken)


@given(PAST)
def test_the_best_evidence_is_the_largest_that_was_read(past: Past) -> None:
    comparison, promote, rollback = Comparison(), [1.0], [1.0]
    for loss, candidate, p, category in past:
        comparison.update(loss, candidate=candidate, p_candidate=p, p_control=1.0 - p, category=category)
        promote.append(comparison.promote)
        rollback.append(comparison.rollback)
    assert comparison.best_promote == pytest.approx(max(promote))
    assert comparison.best_rollback == pytest.approx(max(rollback))


def test_stakes_are_those_of_the_design() -> None:
    bets = Bets((0.05, 0.5), (0.5, 0.5))
    assert bets.stakes(0.4, 2.0) == pytest.approx([0.05 / 0.4025, 0.9 / 2.0])
    assert Bets((0.025, 0.05, 0.10), (0.25, 0.5, 0.25)) == PROMOTE
    assert Bets((0.05, 0.15, 0.40), (0.4, 0.4, 0.2)) == ROLLBACK


def test_the_means_of_the_arms_are_kept_as_description() -> None:
    comparison = Comparison()
    assert (comparison.candidate_mean, comparison.control_mean) == (None, None)
    for loss, candidate in ((0.2, True), (7.0, True), (0.5, False), (0.1, None)):
        comparison.update(loss, candidate=candidate, p_candidate=0.3, p_control=0.3)
    assert (comparison.units, comparison.candidate_units, comparison.control_units) == (4, 2, 1)
    assert (comparison.candidate_mean, comparison.control_mean) == (0.6, 0.5)


def test_overwhelming_evidence_stays_a_number() -> None:
    comparison = Comparison()
    for run in range(20_000):
        comparison.update(float(run % 2), candidate=bool(run % 2), p_candidate=0.5, p_control=0.5)
    assert 1e299 < comparison.rollback < math.inf
    assert 0.0 <= comparison.promote < 1e-200
    assert Comparison.load(json.loads(json.dumps(comparison.plain()))) == comparison


def test_a_refused_unit_changes_nothing() -> None:
    comparison = seen([(0.5, True, 0.5, "fix")])
    before = comparison.plain()
    with pytest.raises(ValueError, match="p_candidate"):
        comparison.update(0.5, candidate=False, p_candidate=1.0, p_control=0.0)
    with pytest.raises(ValueError, match="NaN"):
        comparison.update(math.nan, candidate=False, p_candidate=0.5, p_control=0.5)
    assert comparison.plain() == before


@pytest.mark.parametrize("margin", [1.0, -1.0, math.nan, math.inf])
def test_a_margin_that_is_no_effect_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        Comparison(margin=margin)


def decide(rng: random.Random, effect: float, p: float, most: int) -> tuple[str, int]:
    """Run a canary until it decides: (decision, runs)."""
    comparison = Comparison()
    for run in range(1, most + 1):
        candidate = rng.random() < p
        comparison.update(
            agent_loss(rng, effect if candidate else 0.0), candidate=candidate, p_candidate=p, p_control=1.0 - p
        )
        if comparison.promote >= PROMOTE_AT:
            return "promote", run
        if comparison.rollback >= ROLLBACK_AT:
            return "rollback", run
    return "hold", most


def test_a_candidate_that_is_much_worse_is_rolled_back_within_three_hundred_runs() -> None:
    outcomes = [decide(random.Random(seed), 0.15, 0.5, 2000) for seed in range(40)]
    assert {decision for decision, _ in outcomes} == {"rollback"}
    assert statistics.median(runs for _, runs in outcomes) <= 200


def test_a_better_candidate_is_promoted() -> None:
    outcomes = [decide(random.Random(seed), -0.1, 0.5, 2000) for seed in range(40)]
    assert [decision for decision, _ in outcomes].count("promote") >= 38


def test_a_tolerated_loss_is_not_rolled_back() -> None:
    strict, lenient = Comparison(), Comparison(margin=0.15)
    rng = random.Random(3)
    for _ in range(2000):
        candidate = rng.random() < 0.5
        loss = agent_loss(rng, 0.1 if candidate else 0.0)
        for each in (strict, lenient):
            each.update(loss, candidate=candidate, p_candidate=0.5, p_control=0.5)
    assert strict.best_rollback >= ROLLBACK_AT
    assert lenient.best_rollback < ROLLBACK_AT


def test_a_ramp_while_the_traffic_gets_easier_is_no_reason_to_promote() -> None:
    """Pooled means say that the candidate is far better, because most of its runs came late (Simpson's paradox)."""
    promoted = 0
    for seed in range(20):
        rng, comparison = random.Random(seed), Comparison()
        for run, p in enumerate(p for p, runs in RAMP for _ in range(runs)):
            candidate = rng.random() < p
            loss = float(rng.random() < 0.4 - 0.35 * run / 5000)
            comparison.update(loss, candidate=candidate, p_candidate=p, p_control=1.0 - p)
        promoted += comparison.best_promote >= PROMOTE_AT
        candidate_mean, control_mean = comparison.candidate_mean, comparison.control_mean
        assert candidate_mean is not None
        assert control_mean is not None
        se = math.sqrt(
            candidate_mean * (1 - candidate_mean) / comparison.candidate_units
            + control_mean * (1 - control_mean) / comparison.control_units
        )
        assert (candidate_mean - control_mean) / se < -2.6  # p < .01
    assert promoted <= 2
