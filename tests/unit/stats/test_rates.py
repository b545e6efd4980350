"""Expected costs: from arm × type where little is seen, from the cell where much is."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from burnish.stats.rates import expected_rates


def test_a_cell_never_seen_is_arm_times_type() -> None:
    n = np.array([[500.0, 500.0], [500.0, 0.0]])
    total = n * np.array([[1.0, 4.0], [3.0, 0.0]])
    assert expected_rates(n, total)[1, 1] > 7.0
    assert expected_rates(n, total)[0] == pytest.approx([1.0, 3.0], rel=0.02)


def test_an_arm_never_run_costs_what_is_declared_else_what_others_do() -> None:
    n, total = np.array([[10.0], [0.0]]), np.array([[20.0], [0.0]])
    assert expected_rates(n, total)[0] == pytest.approx([2.0, 2.0])
    declared = expected_rates(n, total, declared=np.array([np.nan, 9.0]))[0]
    assert declared[1] / declared[0] == pytest.approx(4.5, rel=0.01)


@given(st.integers(0, 2**32 - 1), st.floats(0.001, 1000.0))
@settings(max_examples=40, deadline=None)
def test_rates_are_non_negative_and_scale_with_the_currency(seed: int, currency: float) -> None:
    rng = np.random.default_rng(seed)
    n = rng.integers(0, 5, (3, 4)).astype(float)
    total = n * rng.random((3, 4))
    rates = expected_rates(n, total)
    assert rates.shape == (5, 3)
    assert (rates >= 0).all()
    np.testing.assert_allclose(expected_rates(n, total * currency), rates * currency, rtol=1e-6, atol=1e-12)


def test_nothing_seen_costs_nothing() -> None:
    assert np.array_equal(expected_rates(np.zeros((2, 1)), np.zeros((2, 1))), np.zeros((2, 2)))
