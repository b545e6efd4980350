"""Propensities: exact, deterministic, supported wherever an arm is eligible."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from burnish.stats.cells import CellCounts, posterior
from burnish.stats.propensity import DRAWS, DrawnBelief, draw_belief, fixed_normals, pick, propensities

SEEDS = st.integers(0, 2**32 - 1)
NOISE = 0.04


def belief_of(seed: int, arms: int = 5) -> tuple[DrawnBelief, np.random.Generator]:
    rng = np.random.default_rng(seed)
    factor = np.tril(rng.normal(0, 0.1, (arms, arms))) + np.eye(arms) * 0.05
    return draw_belief(rng.random(arms), factor, noise_variance=NOISE), rng


@given(SEEDS, st.floats(0.001, 0.5))
@settings(max_examples=60, deadline=None)
def test_eligible_arms_share_all_probability_and_each_has_some(seed: int, floor: float) -> None:
    belief, rng = belief_of(seed)
    eligible = rng.random(5) < 0.6
    eligible[rng.integers(5)] = True
    vector = propensities(belief, penalty=rng.random(5), eligible=eligible, floor=floor)
    assert vector.sum() == pytest.approx(1.0, abs=1e-12)
    assert (vector[~eligible] == 0).all()
    assert (vector[eligible] >= floor / 20 / 5).all()


@given(SEEDS, st.integers(0, 4), st.floats(0.01, 1.0))
@settings(max_examples=60, deadline=None)
def test_a_dearer_arm_is_never_chosen_more_often(seed: int, arm: int, more: float) -> None:
    belief, rng = belief_of(seed)
    penalty = rng.random(5) * 0.3
    before = propensities(belief, penalty=penalty)[arm]
    penalty[arm] += more
    assert propensities(belief, penalty=penalty)[arm] <= before + 1e-12


def test_the_same_belief_gives_the_same_vector() -> None:
    fixed_normals.cache_clear()
    first = propensities(belief_of(3)[0])
    fixed_normals.cache_clear()
    assert np.array_equal(first, propensities(belief_of(3)[0]))


@pytest.mark.parametrize("gap", [0.0, 0.03, 0.1, 0.2])
def test_two_arms_are_shared_by_the_probability_of_being_better(gap: float) -> None:
    belief = draw_belief(np.array([0.5 + gap, 0.5]), np.eye(2) * 0.1, noise_variance=NOISE, temperature=1.0)
    exact = NormalDist().cdf(gap / (0.1 * 2**0.5))
    assert propensities(belief, floor=0.0)[0] == pytest.approx(exact, abs=0.04)


def test_a_cooler_draw_is_surer() -> None:
    mean, factor = np.array([0.6, 0.5, 0.5]), np.eye(3) * 0.1
    cool, warm = (propensities(draw_belief(mean, factor, noise_variance=NOISE, temperature=t))[0] for t in (0.25, 1.0))
    assert cool > warm


@pytest.mark.parametrize(("gap", "share"), [(0.02, 1 / 2), (0.06, 1 / 4), (0.1, 1 / 6), (0.8, 1 / 20)])
def test_an_arm_that_surely_falls_short_gets_less_of_the_floor(gap: float, share: float) -> None:
    belief = draw_belief(np.array([0.9, 0.9, 0.9 - gap]), np.eye(3) * 1e-6, noise_variance=NOISE)
    assert propensities(belief, floor=0.21)[2] == pytest.approx(0.21 * share / (2 + share), rel=1e-3)


@given(SEEDS, st.integers(0, 4), st.floats(0.01, 1.0))
@settings(max_examples=60, deadline=None)
def test_the_floor_goes_where_it_costs_little(seed: int, arm: int, more: float) -> None:
    belief, rng = belief_of(seed)
    penalty = rng.random(5)
    cheap = propensities(belief, penalty=penalty, floor=1.0)
    ranked = np.argsort(penalty - belief.mean)
    assert cheap[ranked[0]] == cheap.max()
    penalty[arm] += more
    assert propensities(belief, penalty=penalty, floor=1.0)[arm] <= cheap[arm] + 1e-12


def test_arms_without_a_difference_split_evenly() -> None:
    belief = draw_belief(np.array([0.5, 0.5]), np.zeros((2, 2)), noise_variance=NOISE)
    np.testing.assert_allclose(propensities(belief), [0.5, 0.5])


def test_no_eligible_arm_is_an_error() -> None:
    with pytest.raises(ValueError, match="no arm is eligible"):
        propensities(belief_of(0)[0], eligible=np.zeros(5, dtype=bool))


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_picking_over_an_even_grid_returns_the_vector(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vector = rng.random(4) * (rng.random(4) < 0.7)
    vector[0] += 0.1
    vector /= vector.sum()
    picked = np.bincount([pick(vector, (i + 0.5) / 2000) for i in range(2000)], minlength=4) / 2000
    np.testing.assert_allclose(picked, vector, atol=1e-3)


@given(st.floats(0.0, 1.0, exclude_max=True))
def test_an_impossible_arm_is_never_picked(uniform: float) -> None:
    assert pick(np.array([0.0, 0.4, 0.0, 0.6, 0.0]), uniform) in {1, 3}


def test_each_row_of_normals_has_an_exact_marginal() -> None:
    normals = fixed_normals(6)
    assert normals.shape == (6, DRAWS)
    quantiles = [NormalDist().inv_cdf((i + 0.5) / DRAWS) for i in range(DRAWS)]
    np.testing.assert_allclose(np.sort(normals, axis=1), np.tile(quantiles, (6, 1)), atol=1e-12)
    assert np.abs(np.corrcoef(normals) - np.eye(6)).max() < 0.2


def test_an_untried_arm_is_not_starved() -> None:
    """Two arms are known to the point and a third, expected worse, is not: its share of the floor is an even one."""
    mean = np.array([0.9, 0.9, 0.8])
    untried, known = (
        propensities(draw_belief(mean, np.diag([0.01, 0.01, sd]), noise_variance=NOISE), floor=1.0)[2]
        for sd in (0.12, 0.01)
    )
    assert untried == pytest.approx(1 / 3)
    assert known < untried / 3


def test_what_arms_have_in_common_does_not_make_them_uncertain() -> None:
    apart = np.eye(3) * 0.02
    shared = np.asarray(np.linalg.cholesky(apart @ apart.T + 0.3), dtype=np.float64)  # a type whose level nobody knows
    mean = np.array([0.9, 0.9, 0.6])
    alone, together = (propensities(draw_belief(mean, f, noise_variance=NOISE), floor=1.0) for f in (apart, shared))
    np.testing.assert_allclose(together, alone, rtol=1e-5)


@pytest.mark.parametrize(
    ("tried", "won", "solves", "other"), [(4.0, 0.0, 0.9, 0.7), (4.0, 0.0, 0.5, 0.3), (10.0, 4.5, 0.76, 0.66)]
)
@pytest.mark.parametrize("seed", range(3))
def test_an_arm_that_was_unlucky_at_first_is_cleared(
    tried: float, won: float, solves: float, other: float, seed: int
) -> None:
    """In truth it is the better one, but the other has had thousands of runs and goes on to have thousands more."""
    rng = np.random.default_rng(seed)
    total = np.array([[4000.0 * other], [won]])
    counts = CellCounts(np.array([[4000.0], [tried]]), total, total.copy())
    for _ in range(160):
        found = posterior(counts)
        belief = draw_belief(found.mean[0], found.factor[0], noise_variance=found.noise_variance)
        runs = rng.multinomial(100, propensities(belief)).astype(np.float64)
        wins = rng.binomial(runs.astype(np.int64), [other, solves]).astype(np.float64)
        counts += CellCounts(runs[:, None], wins[:, None], wins[:, None])
    assert propensities(belief)[1] > 0.9
