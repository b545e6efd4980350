"""The cells' posterior: exact, additive, indifferent to order."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from burnish.stats.cells import CellCounts, CellPrior, fold_epochs, pooled_noise, posterior

SEEDS = st.integers(0, 2**32 - 1)


def some_counts(seed: int, arms: int = 4, types: int = 3, most: int = 12) -> CellCounts:
    rng = np.random.default_rng(seed)
    counts = CellCounts.empty(arms, types)
    for k in range(arms):
        for t in range(types):
            seen = rng.random(rng.integers(most + 1))
            counts.n[k, t], counts.total[k, t], counts.squares[k, t] = len(seen), seen.sum(), (seen**2).sum()
    return counts


def dense_posterior(counts: CellCounts, prior: CellPrior) -> tuple[np.ndarray, np.ndarray]:
    """Condition the joint Gaussian of all cells on all cell means, with no algebra spared."""
    arms, types = counts.n.shape
    noise = pooled_noise(counts, prior)
    k, t = (index.ravel() for index in np.indices((arms, types + 1)))
    covariance = prior.level_sd**2 + (k[:, None] == k) * prior.arm_ratio**2 * noise
    covariance = covariance + (t[:, None] == t) * prior.type_sd**2 + np.eye(len(k)) * prior.interaction_ratio**2 * noise
    mean = np.broadcast_to(prior.mean, (arms,))[k].astype(float)
    n = np.hstack([counts.n, np.zeros((arms, 1))]).ravel()
    total = np.hstack([counts.total, np.zeros((arms, 1))]).ravel()
    seen = n > 0
    gain = covariance[:, seen] @ np.linalg.inv(covariance[np.ix_(seen, seen)] + np.diag(noise / n[seen]))
    mean = mean + gain @ (total[seen] / n[seen] - mean[seen])
    return mean.reshape(arms, types + 1).T, covariance - gain @ covariance[seen]


@given(SEEDS, st.booleans())
@settings(max_examples=50, deadline=None)
def test_posterior_equals_dense_conditioning(seed: int, own_means: bool) -> None:
    counts = some_counts(seed)
    prior = CellPrior(mean=np.linspace(0.5, 0.8, 4) if own_means else 0.7)
    mean, covariance = dense_posterior(counts, prior)
    found = posterior(counts, prior)
    np.testing.assert_allclose(found.mean, mean, atol=1e-9)
    arms, types = counts.n.shape
    for t in range(types + 1):
        of_type = np.arange(arms) * (types + 1) + t
        np.testing.assert_allclose(found.covariance[t], covariance[np.ix_(of_type, of_type)], atol=1e-9)
        np.testing.assert_allclose(found.factor[t] @ found.factor[t].T, found.covariance[t], atol=1e-12)


@given(SEEDS, SEEDS)
@settings(max_examples=30, deadline=None)
def test_counters_of_two_processes_add_up_in_any_order(one: int, other: int) -> None:
    a, b = some_counts(one), some_counts(other)
    assert np.array_equal(posterior(a + b).mean, posterior(b + a).mean)
    assert np.array_equal((a + b).n, a.n + b.n)


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_arms_are_treated_alike(seed: int) -> None:
    counts, order = some_counts(seed), np.random.default_rng(seed).permutation(4)
    shuffled = CellCounts(counts.n[order], counts.total[order], counts.squares[order])
    np.testing.assert_allclose(posterior(shuffled).mean, posterior(counts).mean[:, order], atol=1e-9)


def test_nothing_seen_gives_the_prior() -> None:
    found = posterior(CellCounts.empty(3, 2), CellPrior(mean=np.array([0.5, 0.6, 0.8])))
    np.testing.assert_allclose(found.mean, [[0.5, 0.6, 0.8]] * 3)


def test_a_type_less_history_is_allowed() -> None:
    assert posterior(CellCounts.empty(3, 0)).mean.shape == (1, 3)


def test_much_evidence_outweighs_the_prior_and_the_neighbours() -> None:
    counts = CellCounts(np.full((2, 2), 1e6), np.array([[9e5, 1e5], [2e5, 8e5]]), np.array([[9e5, 1e5], [2e5, 8e5]]))
    np.testing.assert_allclose(posterior(counts).mean[:2].T, [[0.9, 0.1], [0.2, 0.8]], atol=1e-3)


def test_an_untried_cell_leans_on_its_arm() -> None:
    counts = CellCounts.empty(2, 3)
    counts.n[:, :2] = 200
    counts.total[:, :2] = [[180, 180], [60, 60]]
    counts.squares[:] = counts.total
    good, bad = posterior(counts).mean[2]
    assert good - bad > 0.4


def test_the_shared_type_effect_cancels_between_arms() -> None:
    covariance = posterior(some_counts(1), CellPrior(type_sd=5.0)).covariance[-1]
    difference = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert difference < 0.05 * covariance[0, 0]


@given(SEEDS, st.floats(0.5, 20))
def test_capped_cells_keep_their_mean(seed: int, mass: float) -> None:
    counts = some_counts(seed)
    capped = counts.capped(mass)
    assert (capped.n <= mass + 1e-9).all()
    np.testing.assert_allclose(capped.total * np.maximum(counts.n, 1), counts.total * np.where(counts.n, capped.n, 1))
    small = counts.n <= mass
    assert np.array_equal(capped.n[small], counts.n[small])


def test_earlier_epochs_weigh_at_most_five_together() -> None:
    current, earlier = some_counts(1), [some_counts(2, most=50), some_counts(3, most=50)]
    folded = fold_epochs(current, earlier)
    assert (folded.n - current.n).max() == pytest.approx(5.0)
    assert np.array_equal(folded.n, fold_epochs(current, earlier[::-1]).n)
    assert np.array_equal(fold_epochs(current, []).n, current.n)


def test_noise_is_pooled_and_has_a_floor() -> None:
    rng = np.random.default_rng(0)
    seen = rng.normal(0.5, 0.15, 5000)
    counts = CellCounts(*(np.array([[x]]) for x in (5000.0, seen.sum(), (seen**2).sum())))
    assert pooled_noise(counts, CellPrior()) == pytest.approx(0.15**2, rel=0.1)
    same = CellCounts(*(np.array([[x]]) for x in (5000.0, 4500.0, 4050.0)))
    assert pooled_noise(same, CellPrior()) == 0.01


def test_the_stated_uncertainty_is_true_when_the_model_is() -> None:
    rng, prior, errors = np.random.default_rng(5), CellPrior(noise_variance=0.04, noise_mass=50), []
    for _ in range(150):
        truth = 0.7 + rng.normal(0, 0.2) + rng.normal(0, 0.2 * prior.arm_ratio, (3, 1))
        truth = truth + rng.normal(0, 0.2, 4) + rng.normal(0, 0.2 * prior.interaction_ratio, (3, 4))
        counts = CellCounts.empty(3, 4)
        for k, t in np.ndindex(3, 4):
            seen = rng.normal(truth[k, t], 0.2, rng.integers(6))
            counts.n[k, t], counts.total[k, t], counts.squares[k, t] = len(seen), seen.sum(), (seen**2).sum()
        found = posterior(counts, prior)
        sd = np.sqrt(np.diagonal(found.covariance[:4], axis1=1, axis2=2))
        errors.append((found.mean[:4] - truth.T) / sd)
    assert np.mean(np.square(errors)) == pytest.approx(1.0, abs=0.12)
