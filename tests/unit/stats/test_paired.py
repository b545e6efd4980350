"""Paired evidence: a fair game at the margin, sharp when pairs agree, with an interval that may be watched."""

import json
import math
import random
import statistics

import numpy as np
import pytest
from hypothesis import given, strategies as st

from burnish.stats.comparison import PROMOTE_AT, ROLLBACK_AT
from burnish.stats.paired import Paired, paired_interval

DIFFERENCE = st.floats(-1.0, 1.0)
PAST = st.lists(DIFFERENCE, max_size=25)


def seen(past: list[float], margin: float = 0.0) -> Paired:
    paired = Paired(margin=margin)
    for difference in past:
        paired.update(difference)
    return paired


def pair(rng: random.Random, effect: float, alike: float) -> float:
    """Draw Y₁ − Y₀ of 0/1 losses of mean .3 + effect and .3; this share of pairs has its luck in common."""
    luck = rng.random()
    other = luck if rng.random() < alike else rng.random()
    return float(luck < 0.3 + effect) - float(other < 0.3)


@given(PAST, st.floats(-0.9, 0.9), st.floats(-1.0, 1.0), st.floats(-1.0, 1.0))
def test_a_mean_of_the_margin_is_a_fair_game(past: list[float], margin: float, first: float, second: float) -> None:
    low, high = min(first, second, margin), max(first, second, margin)
    chance = 0.5 if high == low else (margin - low) / (high - low)
    for at, direction in ((margin, "promote"), (max(margin, 0.0), "rollback")):
        if at != margin:
            low, high, chance = -0.5, 1.0, 1.0 / 3.0  # mean 0
        before = seen(past, margin)
        mean = 0.0
        for difference, p in ((high, chance), (low, 1.0 - chance)):
            after = Paired.load(before.plain())
            after.update(difference)
            mean += p * float(getattr(after, direction))
        assert mean == pytest.approx(float(getattr(before, direction)), rel=1e-9)


@given(PAST)
def test_it_survives_json_bit_for_bit(past: list[float]) -> None:
    paired = seen(past, 0.02)
    restored = Paired.load(json.loads(json.dumps(paired.plain())))
    assert restored == paired
    assert (restored.pairs, restored.mean) == (len(past), paired.mean)


def decide(rng: random.Random, effect: float, margin: float, most: int, alike: float = 0.8) -> tuple[str, int]:
    paired = Paired(margin=margin)
    for count in range(1, most + 1):
        paired.update(pair(rng, effect, alike))
        if paired.promote >= PROMOTE_AT:
            return "promote", count
        if paired.rollback >= ROLLBACK_AT:
            return "rollback", count
    return "hold", most


def test_a_small_gain_takes_hundreds_of_pairs() -> None:
    outcomes = [decide(random.Random(seed), -0.05, 0.0, 2000) for seed in range(30)]
    assert [decision for decision, _ in outcomes].count("promote") >= 28
    assert statistics.median(count for _, count in outcomes) <= 400


def test_harm_is_rolled_back() -> None:
    outcomes = [decide(random.Random(seed), 0.15, 0.0, 2000) for seed in range(30)]
    assert {decision for decision, _ in outcomes} == {"rollback"}


def test_an_equal_candidate_is_promoted_as_not_inferior_and_seldom_as_better() -> None:
    tolerant = [decide(random.Random(seed), 0.0, 0.05, 2000)[0] for seed in range(30)]
    strict = [decide(random.Random(seed), 0.0, 0.0, 2000)[0] for seed in range(30)]
    assert tolerant.count("promote") >= 27
    assert strict.count("promote") <= 4


def test_two_of_the_same_never_decide() -> None:
    paired = seen([0.0] * 1000)
    assert (paired.promote, paired.rollback) == (1.0, 1.0)
    low, high = paired_interval([0.0] * 1000)
    assert -0.1 < low < 0.0 < high < 0.1


def test_the_interval_holds_the_truth_however_often_it_is_looked_at() -> None:
    missed = 0
    for seed in range(60):
        rng = random.Random(seed)
        differences = [pair(rng, -0.05, 0.5) for _ in range(600)]
        low, high = paired_interval(differences)  # the intersection of all intervals so far
        missed += not low <= -0.05 <= high
    assert missed <= 7  # of 60; at most 3 expected


def test_the_interval_narrows_to_the_mean() -> None:
    rng = random.Random(1)
    widths = []
    for pairs in (50, 500, 5000):
        low, high = paired_interval([pair(rng, -0.05, 0.8) for _ in range(pairs)])
        widths.append(high - low)
    assert widths[0] > 3 * widths[1]
    assert widths[1] > 1.5 * widths[2]


def test_the_interval_says_what_the_evidence_says() -> None:
    rng = random.Random(2)
    differences = [pair(rng, -0.05, 0.8) for _ in range(1500)]
    at = 0.08  # the promote side of a 92 % interval asks for evidence 25
    paired = seen(differences)
    assert (paired_interval(differences, alpha=at)[1] < 0.0) == (paired.best_promote >= 2 / at)
    assert paired.best_promote >= 2 / at


def test_no_pairs_say_nothing() -> None:
    assert paired_interval([]) == (-1.0, 1.0)
    assert seen([]).mean is None


def test_what_lies_outside_is_cut_and_what_is_missing_is_refused() -> None:
    assert seen([7.0, -7.0]) == seen([1.0, -1.0])
    paired = seen([0.5])
    with pytest.raises(ValueError, match="NaN"):
        paired.update(math.nan)
    assert paired == seen([0.5])
    with pytest.raises(ValueError, match="NaN"):
        paired_interval([0.1, math.nan])
    with pytest.raises(ValueError, match="alpha"):
        paired_interval([0.1], alpha=0.0)
    with pytest.raises(ValueError, match="margin"):
        Paired(margin=1.5)


def test_numpy_numbers_are_numbers() -> None:
    assert paired_interval(list(np.array([0.1, -0.2]))) == paired_interval([0.1, -0.2])
