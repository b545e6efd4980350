"""The increment of a randomised unit: unbiased whatever was predicted, and bounded as announced."""

import math

import pytest
from hypothesis import given, strategies as st

from burnish.stats.increment import CATEGORY_MASS, MOST_CATEGORIES, Centre, Increment, take

UNIT = st.floats(0.0, 1.0)
INSIDE = st.floats(0.01, 0.98)
PAST = st.lists(st.tuples(UNIT, st.sampled_from(["", "fix", "write"])), max_size=30)


def learned(past: list[tuple[float, str]]) -> Centre:
    centre = Centre()
    for loss, category in past:
        centre.learn(loss, centre.predict(category), category)
    return centre


def step(centre: Centre, loss: float, candidate: bool | None, p1: float, p0: float, category: str = "") -> Increment:
    taken = take(
        Centre.load(centre.plain()), loss, candidate=candidate, p_candidate=p1, p_control=p0, category=category
    )
    assert taken is not None
    return taken


@given(PAST, INSIDE, st.floats(0.01, 1.0), UNIT, UNIT)
def test_its_mean_over_all_arms_is_the_effect_for_any_prediction(
    past: list[tuple[float, str]], p1: float, rest: float, y1: float, y0: float
) -> None:
    p0 = (1.0 - p1) * rest
    centre = learned(past)
    treated, untreated = (step(centre, y, a, p1, p0).difference for y, a in ((y1, True), (y0, False)))
    assert p1 * treated + p0 * untreated == pytest.approx(y1 - y0, abs=1e-9)


@given(PAST, INSIDE, UNIT, st.booleans(), st.sampled_from(["", "fix", "new"]))
def test_it_stays_within_the_announced_bounds(
    past: list[tuple[float, str]], p: float, loss: float, candidate: bool, category: str
) -> None:
    taken = step(learned(past), loss, candidate, p, 1.0 - p, category)
    assert -taken.lowest - 1e-12 <= taken.difference <= taken.highest + 1e-12
    assert taken.lowest >= 1.0 - 1e-12
    assert taken.highest >= 1.0 - 1e-12
    assert taken.variance > 0.0


@given(PAST)
def test_the_prediction_is_the_mean_shrunk_from_one_half(past: list[tuple[float, str]]) -> None:
    centre = learned(past)
    overall = (0.5 + math.fsum(loss for loss, _ in past)) / (1 + len(past))
    fix = [loss for loss, category in past if category == "fix"]
    assert centre.predict() == pytest.approx(overall)
    expected = (CATEGORY_MASS * overall + math.fsum(fix)) / (CATEGORY_MASS + len(fix))
    assert centre.predict("fix") == pytest.approx(expected)
    assert 0.0 <= centre.predict("write") <= 1.0


@given(PAST)
def test_a_centre_survives_being_written_down(past: list[tuple[float, str]]) -> None:
    centre = learned(past)
    assert Centre.load(centre.plain()) == centre


def test_an_increment_uses_the_past_only() -> None:
    centre = learned([(0.2, ""), (0.4, "")])
    low, high = (step(centre, loss, True, 0.5, 0.5) for loss in (0.0, 1.0))
    assert (low.variance, low.highest, low.lowest) == (high.variance, high.highest, high.lowest)


def test_a_prediction_per_category_makes_increments_smaller() -> None:
    pooled, split = Centre(), Centre()
    for run in range(200):
        loss, category = (0.9, "hard") if run % 2 else (0.1, "easy")
        pooled.learn(loss, pooled.predict(), "")
        split.learn(loss, split.predict(category), category)
    assert split.variance < 0.2 * pooled.variance


def test_another_arm_only_teaches_the_prediction() -> None:
    centre = Centre()
    assert take(centre, 0.2, candidate=None, p_candidate=0.0, p_control=7.0, category="") is None
    assert centre.count == 1
    assert centre.predict() == pytest.approx(0.35)


def test_categories_without_end_do_not_grow_the_state_without_end() -> None:
    centre = Centre()
    for index in range(MOST_CATEGORIES + 50):
        centre.learn(0.5, 0.5, f"category {index}")
    assert len(centre.categories) == MOST_CATEGORIES
    assert centre.count == MOST_CATEGORIES + 50


@pytest.mark.parametrize(("loss", "counts_as"), [(-3.0, 0.0), (2.0, 1.0), (math.inf, 1.0), (-math.inf, 0.0)])
def test_a_loss_is_cut_to_its_range(loss: float, counts_as: float) -> None:
    assert step(Centre(), loss, True, 0.5, 0.5) == step(Centre(), counts_as, True, 0.5, 0.5)


@pytest.mark.parametrize(
    ("p1", "p0"), [(0.0, 1.0), (1.0, 0.0), (0.6, 0.6), (-0.1, 0.5), (math.nan, 0.5), (0.5, math.nan), (0.5, math.inf)]
)
def test_what_is_no_probability_is_refused_and_nothing_is_counted(p1: float, p0: float) -> None:
    centre = Centre()
    with pytest.raises(ValueError, match="p_candidate"):
        take(centre, 0.5, candidate=True, p_candidate=p1, p_control=p0, category="")
    assert centre == Centre()


def test_a_missing_loss_is_refused_with_the_remedy() -> None:
    centre = Centre()
    with pytest.raises(ValueError, match="deadline counts as loss 1"):
        take(centre, math.nan, candidate=True, p_candidate=0.5, p_control=0.5, category="")
    assert centre == Centre()
