"""Inversion: the vectorised evidence is the streaming one, and refuted shifts lie on one side."""

import random

import numpy as np
import pytest
from hypothesis import given, strategies as st

from burnish.stats.comparison import PROMOTE, ROLLBACK, Comparison
from burnish.stats.effect import replayed
from burnish.stats.inversion import Increments, bounds, evidence

UNIT = st.floats(0.0, 1.0)
EVENTS = st.lists(
    st.tuples(UNIT, st.sampled_from([True, False, None]), st.floats(0.01, 0.9), st.sampled_from(["", "fix"])),
    min_size=1,
    max_size=60,
)
Event = tuple[float, bool | None, float, str]


def increments(events: list[Event]) -> Increments:
    losses, arms, p1, names = (list(column) for column in zip(*events, strict=True))
    return replayed(losses, arms, p1, [(1 - p) * 0.95 for p in p1], names)[0]


@given(EVENTS, st.floats(-0.5, 0.5))
def test_vectorised_and_streaming_evidence_are_equal(events: list[Event], margin: float) -> None:
    comparison, promote, rollback = Comparison(margin=margin), [], []
    for loss, arm, p, name in events:
        comparison.update(loss, candidate=arm, p_candidate=p, p_control=(1 - p) * 0.95, category=name)
        if arm is not None:
            promote.append(comparison.promote)
            rollback.append(comparison.rollback)
    done = increments(events)
    tolerated = margin * done.unit
    better = evidence(PROMOTE, -done.difference, done.variance, done.highest)
    worse = evidence(ROLLBACK, done.difference - tolerated, done.variance, done.lowest + tolerated)
    np.testing.assert_allclose(better, promote, rtol=1e-12)
    np.testing.assert_allclose(worse, rollback, rtol=1e-12)


@given(EVENTS)
def test_evidence_falls_as_the_shift_it_argues_against_rises(events: list[Event]) -> None:
    done = increments(events)
    tolerated = np.outer(np.linspace(-0.99, 0.99, 41), done.unit)
    wealth = evidence(ROLLBACK, done.difference - tolerated, done.variance, done.lowest + tolerated)
    assert (np.diff(wealth, axis=0) <= 1e-9 * wealth[:-1]).all()


@given(EVENTS)
def test_further_units_never_widen_the_bounds(events: list[Event]) -> None:
    fewer, more = (bounds(increments(part), 0.2) for part in (events[: len(events) // 2 + 1], events))
    assert more[0] >= fewer[0]
    assert more[1] <= fewer[1]
    assert all(-1.0 <= bound <= 1.0 for bound in (*fewer, *more))


def test_a_changed_effect_that_no_constant_fits_is_told_by_bounds_that_cross() -> None:
    rng = random.Random(1)
    events: list[Event] = []
    for run in range(3000):
        arm = rng.random() < 0.5
        effect = 0.0 if not arm else 0.5 if run < 1500 else -0.5
        events.append((float(rng.random() < 0.5 + effect), arm, 0.5, ""))
    done = increments(events)
    low, high = bounds(done, 0.05)
    assert low > 0.4
    assert high < 0.2


@pytest.mark.parametrize("alpha", [0.0, 1.0, float("nan")])
def test_an_alpha_that_is_no_probability_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        bounds(increments([(0.5, True, 0.5, "")]), alpha)
