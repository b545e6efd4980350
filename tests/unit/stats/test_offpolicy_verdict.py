"""Verdicts: harm outweighs the margin, two estimates must agree, and no answer where there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from burnish.stats.offpolicy import Difference, half_width, widened
from burnish.stats.offpolicy_verdict import MOST_MORE_RUNS, judge

MARGIN = 0.02


def found_of(
    value: float, sd: float = 0.3, runs: int = 1_000, snips: float | None = None, slack: float = 0.0
) -> Difference:
    half = half_width(runs, widened(sd, 0.5 * runs), alpha=0.05) + slack
    return Difference(
        runs=runs,
        ess=0.5 * runs,
        support=1.0 - slack,
        value=value,
        snips=value if snips is None else snips,
        sd=sd,
        slack=slack,
        low=value - half,
        high=value + half,
        alpha=0.05,
        planned=1_000,
        thinnest=None,
    )


def test_what_is_surely_less_than_the_margin_worse_passes() -> None:
    assert judge(found_of(-0.1), margin=MARGIN).verdict == "pass"
    assert judge(found_of(0.0, sd=0.01), margin=MARGIN).verdict == "pass"


def test_what_is_surely_worse_fails_however_small_the_harm() -> None:
    assert judge(found_of(0.1), margin=MARGIN).verdict == "fail"
    assert judge(found_of(0.004, sd=0.01), margin=MARGIN).verdict == "fail"


def test_without_support_nothing_is_said_however_clear_the_figures() -> None:
    judged = judge(replace(found_of(-0.5, sd=0.1), support=0.9), margin=MARGIN)
    assert (judged.verdict, judged.ground, judged.more_runs) == ("inconclusive", "no support", None)
    assert judged.refused


def test_too_few_effective_runs_say_how_many_more_it_takes() -> None:
    judged = judge(replace(found_of(-0.5, sd=0.1), ess=20.0), margin=MARGIN)
    assert (judged.ground, judged.more_runs) == ("too few effective runs", 1_500)
    assert judge(replace(found_of(-0.5), ess=0.0), margin=MARGIN).more_runs is None
    assert judge(replace(found_of(-0.5), ess=1e-6), margin=MARGIN).more_runs is None


@pytest.mark.parametrize(("value", "snips"), [(-0.1, 0.01), (0.1, -0.01), (0.1, 0.0), (-0.1, 0.5)])
def test_a_claim_that_the_second_estimate_contradicts_is_not_made(value: float, snips: float) -> None:
    judged = judge(found_of(value, snips=snips), margin=MARGIN)
    assert (judged.verdict, judged.ground) == ("inconclusive", "estimators disagree")


def test_estimates_around_zero_may_differ_in_sign_when_only_the_margin_is_claimed() -> None:
    assert judge(found_of(-0.001, sd=0.05, snips=0.002), margin=MARGIN).verdict == "pass"
    assert judge(found_of(-0.001, sd=0.05, snips=0.03), margin=MARGIN).ground == "estimators disagree"


@given(st.floats(-0.3, 0.3), st.floats(0.01, 3.0), st.integers(50, 20_000), st.floats(0.0, 0.05), st.floats(0.0, 0.2))
def test_after_as_many_more_runs_as_were_asked_for_the_same_figures_decide(
    value: float, sd: float, runs: int, slack: float, margin: float
) -> None:
    judged = judge(found_of(value, sd, runs, slack=slack), margin=margin, least_ess=0.0)
    if judged.verdict != "inconclusive" or judged.ground != "interval":
        assert judged.more_runs is None
    elif judged.more_runs is None:
        later = found_of(value, sd, runs + MOST_MORE_RUNS, slack=slack)
        assert judge(later, margin=margin, least_ess=0.0).verdict == "inconclusive"
    else:
        assert 0 < judged.more_runs <= MOST_MORE_RUNS
        later, before = (found_of(value, sd, runs + judged.more_runs - k, slack=slack) for k in (0, 1))
        assert judge(later, margin=margin, least_ess=0.0).verdict != "inconclusive"
        assert judge(before, margin=margin, least_ess=0.0).verdict == "inconclusive"


def test_a_wait_is_called_hopeless_when_the_unexplored_share_alone_exceeds_the_margin() -> None:
    assert judge(found_of(0.0, slack=0.03), margin=MARGIN).more_runs is None
