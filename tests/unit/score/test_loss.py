"""The loss: what is missing stays missing, what adds up adds up, and a veto cannot be averaged away."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from burnish.errors import InvalidValue
from burnish.score.loss import compute, weigh
from burnish.score.terms import TERMS, Evidence, Term, percentile_95, run_quality

unit = st.floats(0, 1)
maybe = st.none() | unit
counts = st.dictionaries(
    st.sampled_from(["contradictions", "security_criticals", "api_breakages", "migration_failures"]), st.floats(0, 50)
)
shares = st.dictionaries(st.sampled_from(["grounding", "rag_coverage"]), unit)
evidence = st.builds(
    lambda gates, n, s, **rest: Evidence(gates=gates, signals={**n, **s}, **rest),
    st.lists(unit, max_size=5),
    counts,
    shares,
    success=st.none() | st.booleans(),
    quality=maybe,
    user_rating=st.none() | st.integers(1, 5),
    cost_usd=st.none() | st.floats(0, 100),
    budget_usd=st.none() | st.floats(0.01, 100),
    latencies_s=st.lists(st.floats(0, 1000), max_size=5),
    latency_target_s=st.none() | st.floats(0.1, 100),
)
weights = st.none() | st.dictionaries(st.sampled_from(sorted(TERMS)), st.floats(0.01, 10), min_size=1)


@given(evidence, weights)
def test_the_breakdown_adds_up_to_the_loss(found: Evidence, configured: dict[str, float] | None) -> None:
    loss = compute(found, weigh(configured, TERMS))
    if loss is not None:
        assert math.fsum(part.contribution for part in loss.breakdown.values()) == pytest.approx(loss.value, abs=1e-9)
        assert 0.0 <= loss.value <= 1.0
        assert 0.0 < loss.coverage <= 1.0


@given(evidence, weights)
def test_a_veto_term_is_a_floor_under_the_loss(found: Evidence, configured: dict[str, float] | None) -> None:
    loss = compute(found, weigh(configured, TERMS))
    for name in ("security_criticals", "migration_failures"):
        n = found.signals.get(name, 0.0)
        if n > 0:
            assert loss is not None
            assert loss.value >= -math.expm1(-n) - 1e-12


@given(evidence)
def test_a_missing_term_shares_its_weight_over_the_present_ones(found: Evidence) -> None:
    loss = compute(found, weigh(None, TERMS))
    if loss is not None and not loss.vetoed and loss.breakdown:
        assert math.fsum(part.weight for part in loss.breakdown.values()) == pytest.approx(1.0)
        missing = {name for name, value in loss.terms.items() if value is None}
        assert missing.isdisjoint(loss.breakdown)
        assert loss.coverage == pytest.approx(1.0 - math.fsum(loss.weights[name] for name in missing))


def test_without_any_evidence_there_is_no_loss() -> None:
    assert compute(Evidence(), weigh(None, TERMS)) is None


def test_the_formula_by_hand() -> None:
    found = Evidence(
        gates=[1.0, 0.0],
        signals={
            "contradictions": 1,
            "grounding": 0.8,
            "security_criticals": 0,
            "api_breakages": 2,
            "rag_coverage": 0.5,
        },
        cost_usd=1.5,
        budget_usd=1.0,
        latencies_s=[1.0, 3.0],
        latency_target_s=2.0,
    )
    loss = compute(found, weigh(None, TERMS))
    by_hand = (
        0.30 * 0.5
        + 0.10 * (1 - math.exp(-1))
        + 0.10 * 0.2
        + 0.15 * 0.5
        + 0.10 * (2.9 - 2) / 2
        + 0.10 * 0
        + 0.05 * (1 - math.exp(-2))
        + 0.05 * 0.5
    ) / 0.95
    assert loss is not None
    assert loss.value == pytest.approx(by_hand)
    assert loss.coverage == pytest.approx(0.95)


def test_the_outcome_counts_as_one_more_gate() -> None:
    one = compute(Evidence(gates=[1.0], success=False), weigh(None, TERMS))
    assert one is not None
    assert one.terms["gate_failures"] == 0.5


def test_default_weights_sum_to_one() -> None:
    assert math.fsum(term.weight for term in TERMS.values()) == pytest.approx(1.0)
    assert len(TERMS) == 9


@given(st.dictionaries(st.sampled_from(sorted(TERMS)), st.floats(0.01, 100), min_size=1))
def test_configured_weights_are_scaled_to_sum_to_one(configured: dict[str, float]) -> None:
    assert math.fsum(weigh(configured, TERMS).values()) == pytest.approx(1.0)


def test_an_unknown_term_is_refused_by_name() -> None:
    with pytest.raises(InvalidValue, match="no such term"):
        weigh({"speling": 1.0}, TERMS)


def test_a_term_of_your_own_joins_the_mean() -> None:
    terms = {
        **TERMS,
        "politeness": Term(1.0, lambda e: 1.0 - e.signals["politeness"] if "politeness" in e.signals else None),
    }
    loss = compute(Evidence(success=True, signals={"politeness": 0.25}), weigh(None, terms), terms)
    assert loss is not None
    assert loss.value == pytest.approx((0.3 * 0.0 + 1.0 * 0.75) / 1.3)


def test_a_term_out_of_range_is_refused() -> None:
    terms = {**TERMS, "wild": Term(1.0, lambda _: 1.5)}
    with pytest.raises(InvalidValue, match="wild"):
        compute(Evidence(), weigh(None, terms), terms)


def test_the_strongest_evidence_of_quality_decides() -> None:
    assert run_quality(Evidence(quality=0.3, user_accepted=True, user_rating=5, success=True, gates=[1.0])) == 0.3
    assert run_quality(Evidence(user_accepted=False, user_rating=5, success=True)) == 0.0
    assert run_quality(Evidence(user_rating=4, success=False)) == 0.75
    assert run_quality(Evidence(success=True, gates=[0.0])) == 1.0
    assert run_quality(Evidence(gates=[1.0, 0.5])) == 0.75
    assert run_quality(Evidence()) is None


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_the_95th_percentile_is_numpys(values: list[float]) -> None:
    import numpy as np

    assert percentile_95(values) == pytest.approx(float(np.percentile(values, 95)))
