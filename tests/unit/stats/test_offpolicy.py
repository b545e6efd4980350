"""Off-policy difference: unbiased on worlds small enough to enumerate, bounded, and honest about what it cannot see."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from burnish.stats import offpolicy
from burnish.stats.offpolicy import LoggedChoices, cell_means, difference, effective_runs, half_width, widened

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SEEDS = st.integers(0, 2**32 - 1)


def world_of(seed: int, runs: int, arms: int, types: int) -> tuple[LoggedChoices, Array]:
    """Return logged choices of a random world, and the loss that each arm would have had on each run."""
    rng = np.random.default_rng(seed)
    logged = 0.1 + rng.random((runs, arms))
    logged /= logged.sum(axis=1, keepdims=True)
    target = rng.dirichlet(np.full(arms, 0.4), size=runs)
    losses = rng.random((runs, arms))
    arm = (rng.random(runs)[:, None] > logged.cumsum(axis=1)).sum(axis=1).clip(0, arms - 1)
    kinds = rng.integers(types, size=runs)
    return LoggedChoices(arm, kinds, losses[np.arange(runs), arm], logged, target), losses


def served(log: LoggedChoices, losses: Array, arm: NDArray[np.int64]) -> LoggedChoices:
    """Return the log in which other arms served."""
    return LoggedChoices(
        arm, log.task_type, losses[np.arange(len(arm)), arm], log.logged, log.target, baseline=log.baseline
    )


@given(SEEDS, st.integers(2, 5), st.integers(2, 3))
@settings(max_examples=25, deadline=None)
def test_over_every_way_the_runs_could_have_been_served_the_estimate_is_right_on_average(
    seed: int, runs: int, arms: int
) -> None:
    log, losses = world_of(seed, runs, arms, types=2)
    mean = 0.0
    for ways in itertools.product(range(arms), repeat=runs):
        arm = np.array(ways)
        chance = float(log.logged[np.arange(runs), arm].prod())
        mean += chance * difference(served(log, losses, arm)).value
    truth = ((log.target - log.logged) * losses).sum() / runs
    assert mean == pytest.approx(float(truth), abs=1e-9)


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_the_same_holds_against_a_baseline_that_did_not_log(seed: int) -> None:
    plain, losses = world_of(seed, 4, 2, types=1)
    baseline = np.random.default_rng(seed + 1).dirichlet(np.ones(2), size=4)
    log = LoggedChoices(plain.arm, plain.task_type, plain.outcome, plain.logged, plain.target, baseline)
    mean = 0.0
    for ways in itertools.product(range(2), repeat=4):
        arm = np.array(ways)
        mean += float(log.logged[np.arange(4), arm].prod()) * difference(served(log, losses, arm)).value
    assert mean == pytest.approx(float(((log.target - baseline) * losses).sum() / 4), abs=1e-9)


@given(SEEDS, st.integers(1, 200), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_effective_runs_and_support_stay_in_their_ranges(seed: int, runs: int, arms: int) -> None:
    log, _ = world_of(seed, runs, arms, types=3)
    found = difference(log)
    assert 0.0 <= found.ess <= runs + 1e-9
    assert 0.0 <= found.support <= 1.0
    assert found.low <= found.value <= found.high
    assert found.runs == runs


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=50))
def test_effective_runs_lie_between_none_and_all(weights: list[float]) -> None:
    found = effective_runs(np.array(weights))
    assert 0.0 <= found <= len(weights) * (1 + 1e-9)


@given(SEEDS, st.integers(1, 100))
@settings(max_examples=40, deadline=None)
def test_a_target_that_does_what_was_done_differs_by_exactly_nothing(seed: int, runs: int) -> None:
    log, _ = world_of(seed, runs, 3, types=2)
    same = difference(LoggedChoices(log.arm, log.task_type, log.outcome, log.logged, log.logged))
    assert (same.value, same.low, same.high, same.sd) == (0.0, 0.0, 0.0, 0.0)
    assert same.snips == pytest.approx(0.0, abs=1e-12)
    assert (same.ess, same.support) == (float(runs), 1.0)


@given(SEEDS, st.floats(0.1, 5.0), st.floats(-3.0, 3.0))
@settings(max_examples=40, deadline=None)
def test_the_estimate_scales_with_the_outcome_and_ignores_its_level(seed: int, scale: float, shift: float) -> None:
    log, _ = world_of(seed, 60, 3, types=2)
    moved = LoggedChoices(log.arm, log.task_type, scale * log.outcome + shift, log.logged, log.target)
    assert difference(moved, span=None).value == pytest.approx(scale * difference(log, span=None).value, abs=1e-9)
    assert difference(moved).snips == pytest.approx(scale * difference(log).snips, abs=1e-9)


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_an_arm_that_is_never_tried_costs_support_and_widens_the_bounds(seed: int) -> None:
    log, _ = world_of(seed, 80, 3, types=2)
    logged = log.logged.copy()
    logged[:, 2] = 0.0
    logged /= logged.sum(axis=1, keepdims=True)
    target = np.tile([0.0, 0.7, 0.3], (80, 1))
    found = difference(LoggedChoices(log.arm % 2, log.task_type, log.outcome, logged, target))
    assert found.support == pytest.approx(0.7)
    assert found.slack == pytest.approx(0.3)
    assert found.high - found.value >= 0.3
    assert found.thinnest is not None
    assert found.thinnest[1] == 2


def test_what_is_hardly_explored_counts_as_unexplored_even_when_it_happened_to_serve() -> None:
    runs = 100
    logged = np.tile([0.999, 0.001], (runs, 1))
    arm = np.zeros(runs, dtype=np.int64)
    arm[0] = 1
    outcome = np.zeros(runs)
    outcome[0] = 1.0
    always = np.tile([0.0, 1.0], (runs, 1))
    log = LoggedChoices(arm, np.zeros(runs, dtype=np.int64), outcome, logged, always)
    assert difference(log).support < 0.002
    assert abs(difference(log).value) < 0.5  # uncapped, the one run would weigh 1,000
    assert difference(log, p_min=0.0005).support == pytest.approx(1.0)


@given(st.integers(1, 100_000), st.floats(0.01, 0.5))
def test_the_bounds_tighten_with_runs_and_with_less_confidence(runs: int, alpha: float) -> None:
    width = half_width(runs, 0.3, alpha=alpha)
    assert half_width(runs + 1, 0.3, alpha=alpha) < width
    assert half_width(runs, 0.3, alpha=alpha / 2) > width
    assert width > 1.96 * 0.3 / math.sqrt(runs) if alpha <= 0.05 else width > 0.0


@given(st.floats(0.01, 10.0), st.floats(1.0, 1e5))
def test_few_effective_runs_widen_the_bounds_and_many_hardly(sd: float, ess: float) -> None:
    assert sd < widened(sd, ess) <= 3.0 * sd
    assert widened(sd, ess) > widened(sd, 2 * ess)
    assert widened(sd, 1e9) == pytest.approx(sd)


def test_the_sequence_has_the_published_form() -> None:
    rho2 = (-2 * math.log(0.05) + math.log(1 - 2 * math.log(0.05))) / 500
    n = 700
    published = math.sqrt(2 * (n * rho2 + 1) / (n**2 * rho2) * math.log(math.sqrt(n * rho2 + 1) / 0.05))
    assert half_width(n, 1.0, alpha=0.05, planned=500) == pytest.approx(published)


def test_a_planned_number_of_runs_is_where_the_bounds_are_tightest() -> None:
    widths = {planned: half_width(1_000, 1.0, alpha=0.05, planned=planned) for planned in (100, 1_000, 10_000)}
    assert min(widths, key=lambda planned: widths[planned]) == 1_000


def test_a_cell_never_seen_stands_at_its_arm_and_type_and_nothing_seen_at_zero() -> None:
    arm = np.array([0, 0, 1] * 100)
    kinds = np.array([0, 1, 0] * 100)
    outcome = np.where(arm == 0, 0.2, 0.6) + np.where(kinds == 0, 0.0, 0.2)
    cells = cell_means(arm, kinds, outcome, (2, 2))
    assert cells[1, 1] == pytest.approx(0.8, abs=0.05)
    np.testing.assert_allclose([cells[0, 0], cells[1, 0], cells[0, 1]], [0.2, 0.4, 0.6], atol=0.02)
    none = np.zeros(0, dtype=np.int64)
    assert not cell_means(none, none, np.zeros(0), (2, 2)).any()


def test_blocks_do_not_change_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    log, _ = world_of(4, 501, 3, types=4)
    whole = difference(log)
    monkeypatch.setattr(offpolicy, "BLOCK", 7)
    assert difference(log) == whole


def test_bounds_looked_at_again_and_again_rarely_miss() -> None:
    rng = np.random.default_rng(3)
    missed = 0
    for _ in range(200):
        runs = 1_500
        logged = np.tile([0.9, 0.1], (runs, 1))
        arm = (rng.random(runs) < 0.1).astype(np.int64)
        outcome = (rng.random(runs) < np.where(arm == 1, 0.2, 0.3)).astype(np.float64)
        target = np.tile([0.2, 0.8], (runs, 1))
        looks = [
            difference(LoggedChoices(arm[:n], np.zeros(n, dtype=np.int64), outcome[:n], logged[:n], target[:n]))
            for n in range(300, runs + 1, 200)
        ]
        missed += any(not found.low <= -0.07 <= found.high for found in looks)
    assert missed / 200 <= 0.05


def broken(**changes: object) -> LoggedChoices:
    log, _ = world_of(1, 5, 2, types=1)
    given = {name: getattr(log, name) for name in ("arm", "task_type", "outcome", "logged", "target", "baseline")}
    return LoggedChoices(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arm": np.zeros(4, dtype=np.int64)}, "arm must have shape"),
        ({"arm": np.full(5, 2)}, "arm must be in"),
        ({"task_type": np.full(5, -1)}, "task_type at least 0"),
        ({"outcome": np.full(5, np.nan)}, "outcome must be finite"),
        ({"target": np.full((5, 3), 1 / 3)}, "target must have shape"),
        ({"target": np.full((5, 2), 0.6)}, "each row of target"),
        ({"baseline": np.tile([1.5, -0.5], (5, 1))}, "each row of baseline"),
        ({"logged": np.full((5, 2), np.nan)}, "each row of logged"),
        ({"logged": np.zeros((0, 2))}, "logged must have shape"),
        ({"arm": np.zeros(5, dtype=np.int64), "logged": np.tile([0.0, 1.0], (5, 1))}, "probability 0"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        broken(**changes)
