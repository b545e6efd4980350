"""Late harm: a fair game from every start, and noticed although the candidate was good for long."""

import json
import math
import random
import statistics

import pytest
from hypothesis import given, strategies as st

from burnish.stats.comparison import ROLLBACK_AT, Comparison
from burnish.stats.detector import HarmDetector

UNIT = st.floats(0.0, 1.0)
INSIDE = st.floats(0.02, 0.95)
PAST = st.lists(st.tuples(UNIT, st.sampled_from([True, False, None]), INSIDE), max_size=25)
Past = list[tuple[float, bool | None, float]]


def seen(past: Past) -> HarmDetector:
    detector = HarmDetector()
    for loss, candidate, p in past:
        detector.update(loss, candidate=candidate, p_candidate=p, p_control=1.0 - p)
    return detector


@given(PAST, INSIDE, UNIT)
def test_without_harm_the_evidence_is_expected_to_grow_by_one_a_unit(past: Past, p: float, loss: float) -> None:
    before, mean = seen(past), 0.0
    for candidate, chance in ((True, p), (False, 1.0 - p)):
        after = HarmDetector.load(before.plain())
        after.update(loss, candidate=candidate, p_candidate=p, p_control=1.0 - p)
        mean += chance * after.evidence
    assert mean == pytest.approx(before.evidence + 1.0)


@given(PAST)
def test_a_detector_survives_json_bit_for_bit(past: Past) -> None:
    detector = seen(past)
    assert HarmDetector.load(json.loads(json.dumps(detector.plain()))) == detector


def test_units_of_other_arms_are_no_time() -> None:
    detector = HarmDetector()
    for _ in range(100):
        detector.update(0.4, candidate=None, p_candidate=0.1, p_control=0.1)
    assert (detector.evidence, detector.units, detector.centre.count) == (0.0, 0, 100)


def stream(seed: int, change: int, before: float, after: float) -> tuple[int | None, int | None]:
    """Return the delay of the detector and of a plain rollback process after harm that starts at `change`."""
    rng, detector, plain = random.Random(seed), HarmDetector(), Comparison()
    noticed: dict[str, int] = {}
    for run in range(change + 2500):
        candidate = rng.random() < 0.5
        effect = before if run < change else after
        loss = float(rng.random() < 0.3 + (effect if candidate else 0.0))
        for each in (detector, plain):
            each.update(loss, candidate=candidate, p_candidate=0.5, p_control=0.5)
        if detector.alarmed:
            noticed.setdefault("detector", run - change)
        if plain.rollback >= ROLLBACK_AT:
            noticed.setdefault("plain", run - change)
    return noticed.get("detector"), noticed.get("plain")


def test_harm_after_a_good_start_is_noticed_sooner_than_by_the_rollback_evidence() -> None:
    delays = [stream(seed, 1000, -0.05, 0.15) for seed in range(15)]
    detector, plain = ([2500 if d is None else d for d in each] for each in zip(*delays, strict=True))
    assert min(detector) > 0  # none alarmed while the candidate was good
    assert statistics.median(detector) < 0.8 * statistics.median(plain)


def test_an_alarm_stays_raised_after_the_harm_is_over() -> None:
    detector = HarmDetector(alarm=1000.0)
    for run in range(400):
        candidate = bool(run % 2)
        detector.update(float(candidate == (run < 100)), candidate=candidate, p_candidate=0.5, p_control=0.5)
    assert detector.evidence < 100.0
    assert detector.alarmed


def test_overwhelming_harm_stays_a_number() -> None:
    detector = HarmDetector()
    for run in range(20_000):
        detector.update(float(run % 2), candidate=bool(run % 2), p_candidate=0.5, p_control=0.5)
    assert detector.evidence < math.inf
    assert detector.alarmed


@pytest.mark.parametrize("alarm", [1.0, 0.0, math.nan])
def test_an_alarm_that_is_always_on_is_refused(alarm: float) -> None:
    with pytest.raises(ValueError, match="alarm"):
        HarmDetector(alarm=alarm)
