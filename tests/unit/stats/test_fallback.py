"""Fallback: learned from failures, ordered by probability per price."""

import itertools

import pytest
from hypothesis import given, strategies as st

from burnish.stats.fallback import (
    RESCUE_SHARE,
    Attempts,
    Candidate,
    RescueRecord,
    order_until_success,
    price_of_first_attempt,
    rescue_probability,
)

UNIT = st.floats(0.0, 1.0)
COUNTS = st.tuples(st.integers(0, 200), UNIT).map(lambda x: Attempts(x[0], x[0] * x[1]))
CANDIDATES = st.builds(Candidate, st.floats(0.01, 0.99), st.floats(0.001, 0.5))


def chain_value(ordered: list[Candidate], *, worth: float = 1.0) -> float:
    """Return the expected value of trying candidates in this order until one succeeds, each given all before failed."""
    value = 0.0
    for candidate in reversed(ordered):
        value = candidate.gain(worth) + (1.0 - candidate.probability) * value
    return value


@given(COUNTS, COUNTS, COUNTS, UNIT)
def test_a_rescue_is_a_probability_between_its_sources(a: Attempts, b: Attempts, c: Attempts, quality: float) -> None:
    sources = [x.succeeded / x.tried for x in (a, b, c) if x.tried] + [RESCUE_SHARE * quality]
    found = rescue_probability(RescueRecord(a, b, c), quality)
    assert min(sources) - 1e-9 <= found <= max(sources) + 1e-9


def test_the_narrowest_record_prevails_once_it_has_seen_enough() -> None:
    record = RescueRecord(Attempts(400, 40), Attempts(900, 700), Attempts(2000, 1800))
    assert rescue_probability(record, 0.9) == pytest.approx(0.1, abs=0.02)


def test_the_overall_favourite_loses_its_place_where_it_fails_together_with_the_first() -> None:
    kin = RescueRecord(Attempts(), Attempts(60, 5), Attempts(100, 45))
    stranger = RescueRecord(Attempts(), Attempts(60, 24), Attempts(100, 40))
    assert rescue_probability(kin, 0.8) < rescue_probability(stranger, 0.6)


@given(st.lists(CANDIDATES, min_size=1, max_size=4))
def test_no_other_order_is_worth_more(options: list[Candidate]) -> None:
    named = {str(i): option for i, option in enumerate(options)}
    ordered = chain_value([named[name] for name in order_until_success(named)])
    assert ordered >= max(chain_value(list(each)) for each in itertools.permutations(options)) - 1e-9


@given(st.dictionaries(st.text(max_size=3), CANDIDATES, max_size=5), st.floats(0.0, 2.0))
def test_attempts_that_do_not_pay_are_left_out(options: dict[str, Candidate], worth: float) -> None:
    kept = set(order_until_success(options, worth=worth))
    assert kept == {name for name, option in options.items() if option.probability * worth > option.penalty}


def test_a_free_arm_goes_first_unless_it_cannot_succeed() -> None:
    options = {"free": Candidate(0.1, 0.0), "dear": Candidate(0.9, 0.5), "useless": Candidate(0.0, 0.0)}
    assert order_until_success(options) == ["free", "dear", "useless"]


def test_a_good_fallback_makes_the_first_attempt_cheaper() -> None:
    assert price_of_first_attempt(0.2, 0.0) == 0.2
    assert price_of_first_attempt(0.2, 0.5) == pytest.approx(0.4)
    assert price_of_first_attempt(0.2, 1.0) == pytest.approx(4.0)


def test_attempts_add_up() -> None:
    assert Attempts(3, 1) + Attempts(2, 2) == Attempts(5, 3)
