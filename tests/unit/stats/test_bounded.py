"""The betting interval: it misses no more often than it says, whatever the values, and narrows as they come."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given, settings, strategies as st

from burnish.stats.bounded import Interval, mean_interval, values_needed

DIFFERENCE = st.floats(-1.0, 1.0)


@settings(max_examples=25)
@given(DIFFERENCE, DIFFERENCE, st.floats(0.0, 1.0), st.floats(0.05, 0.6))
def test_every_sequence_of_two_values_counted_the_mean_is_missed_no_more_often_than_alpha(
    one: float, other: float, chance: float, alpha: float
) -> None:
    mean = chance * one + (1 - chance) * other
    missed = 0.0
    for sequence in itertools.product((True, False), repeat=6):
        found = mean_interval([one if first else other for first in sequence], alpha=alpha)
        if not found.low - 1e-9 <= mean <= found.high + 1e-9:
            missed += math.prod(chance if first else 1 - chance for first in sequence)
    assert missed <= alpha + 1e-9


@pytest.mark.parametrize(
    ("values", "weights"),
    [([-1.0, 0.0, 1.0], [0.024, 0.962, 0.014]), ([-1.0, 1.0], [0.5, 0.5]), ([0.0, 1.0], [0.97, 0.03])],
)
def test_looking_after_every_value_the_mean_is_still_missed_no_more_often_than_alpha(
    values: list[float], weights: list[float]
) -> None:
    rng = random.Random(7)
    mean = sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)
    missed = 0
    for _ in range(200):
        drawn = rng.choices(values, weights, k=300)
        looks = (mean_interval(drawn[:count], alpha=0.1, horizon=300) for count in range(10, 301, 29))
        missed += not all(found.low <= mean <= found.high for found in looks)
    assert missed / 200 <= 0.1 + 0.04  # two standard errors of a rate of .1


@given(st.lists(DIFFERENCE, max_size=40), st.floats(0.01, 0.5))
def test_the_interval_lies_in_the_range_and_holds_the_mean(values: list[float], alpha: float) -> None:
    found = mean_interval(values, alpha=alpha)
    assert -1.0 <= found.low <= found.mean <= found.high <= 1.0


@given(st.lists(DIFFERENCE, min_size=1, max_size=40), st.floats(0.01, 0.5))
def test_turning_the_values_around_turns_the_interval_around(values: list[float], alpha: float) -> None:
    found, turned = mean_interval(values, alpha=alpha), mean_interval([-value for value in values], alpha=alpha)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-6)


@given(st.lists(DIFFERENCE, min_size=1, max_size=40))
def test_more_certainty_is_a_wider_interval_once_the_stakes_are_settled(values: list[float]) -> None:
    many = values * 20
    sure, unsure = mean_interval(many, alpha=0.01), mean_interval(many, alpha=0.2)
    assert sure.high - sure.low >= unsure.high - unsure.low


def test_nothing_seen_is_nothing_known() -> None:
    assert mean_interval([]) == Interval(0.0, -1.0, 1.0)


def test_the_width_is_near_that_of_a_normal_interval_which_promises_less() -> None:
    rng = random.Random(3)
    values = rng.choices([-1.0, 0.0, 1.0], [0.024, 0.962, 0.014], k=1112)
    found = mean_interval(values)
    deviation = math.sqrt(sum((v - found.mean) ** 2 for v in values) / len(values))
    assert (found.high - found.low) / 2 <= 1.5 * 1.96 * deviation / math.sqrt(len(values))


@pytest.mark.parametrize("values", [[1.5], [-1.01], [math.nan], [0.0, math.inf]])
def test_a_value_out_of_range_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="every value must lie in"):
        mean_interval(values)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0, math.nan])
def test_an_impossible_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        mean_interval([0.0], alpha=alpha)


def test_as_many_values_as_are_said_to_be_needed_decide() -> None:
    values = random.Random(5).choices([-1.0, 0.0, 1.0], [0.06, 0.9, 0.04], k=100)
    needed = values_needed(values, above=0.0, below=0.02)
    assert needed is not None
    assert needed > 100
    again = (values * (needed // 100 + 1))[:needed]
    found = mean_interval(again)
    assert found.high < 0.02 or found.low > 0.0
    fewer = mean_interval(again[: needed // 2])
    assert fewer.high >= 0.02
    assert fewer.low <= 0.0


def test_what_is_decided_needs_no_more_and_what_never_will_be_says_so() -> None:
    assert values_needed([-0.5] * 50, above=0.0, below=0.02) == 50
    assert values_needed([0.5, -0.5] * 40, above=0.0, below=1e-9, most=1_000) is None
    assert values_needed([], above=0.0, below=0.02) is None
