"""Sample-ratio check: silent under any logged ramp, loud when one arm's units get lost."""

import json
import math
import random

import pytest
from hypothesis import given, strategies as st

from burnish.stats.sample_ratio import SHIFTS, SampleRatio

RAMP = ((0.01, 250), (0.05, 250), (0.10, 500), (0.25, 1000), (0.50, 3000))


@st.composite
def arms(draw: st.DrawFn) -> list[list[float]]:
    """Probability vectors of the same two to four arms, changing over time, not always summing to one."""
    count = draw(st.integers(2, 4))
    vectors = draw(st.lists(st.lists(st.floats(0.01, 1.0), min_size=count + 1, max_size=count + 1), max_size=12))
    return [[w / math.fsum(weights) for w in weights[:-1]] for weights in vectors]


def seen(vectors: list[list[float]], seed: int) -> SampleRatio:
    rng, ratio = random.Random(seed), SampleRatio()
    for vector in vectors:
        arm = rng.choices([*range(len(vector)), None], [*vector, 1.0 - math.fsum(vector)])[0]
        ratio.update(arm, vector)
    return ratio


@given(arms(), st.integers(0, 9))
def test_with_right_logs_the_expected_evidence_is_the_evidence_before(vectors: list[list[float]], seed: int) -> None:
    if not vectors:
        return
    before, next_one = seen(vectors[:-1], seed), vectors[-1]
    mean = 0.0
    for arm, chance in [*enumerate(next_one), (None, 1.0 - math.fsum(next_one))]:
        after = SampleRatio.load(before.plain())
        after.update(arm, next_one)
        mean += chance * after.evidence
    assert mean == pytest.approx(before.evidence)


@given(arms(), st.integers(0, 9))
def test_a_check_survives_json_bit_for_bit(vectors: list[list[float]], seed: int) -> None:
    ratio = seen(vectors, seed)
    assert SampleRatio.load(json.loads(json.dumps(ratio.plain()))) == ratio


def test_a_state_of_other_shifts_is_refused() -> None:
    ratio = seen([[0.5, 0.5]], 1)
    with pytest.raises(ValueError, match="shifts"):
        SampleRatio.load(ratio.plain() | {"logs": [[0.0], [0.0]]})


def test_the_evidence_is_the_likelihood_ratio_averaged_over_shifts() -> None:
    ratio = SampleRatio()
    ratio.update(True, (0.9, 0.1))
    ratio.update(False, (0.5, 0.5))

    def shifted(p: float, delta: float) -> float:
        odds = p / (1 - p) * math.exp(delta)
        return odds / (1 + odds)

    expected = sum(shifted(0.1, d) / 0.1 * (1 - shifted(0.5, d)) / 0.5 for d in SHIFTS) / len(SHIFTS)
    assert ratio.evidence == pytest.approx(expected)
    assert (ratio.counts, ratio.expected, ratio.units) == ([1, 1], [1.4, 0.6], 2)


def ramp(seed: int, lost: float) -> SampleRatio:
    """A canary's ramp in which this share of the candidate's units is never scored."""
    rng, ratio = random.Random(seed), SampleRatio()
    for p, runs in RAMP:
        for _ in range(runs):
            candidate = rng.random() < p
            if not (candidate and rng.random() < lost):
                ratio.update(candidate, (1.0 - p, p))
    return ratio


def test_a_healthy_ramp_is_not_flagged() -> None:
    assert not any(ramp(seed, 0.0).alarmed for seed in range(20))


def test_losing_four_in_ten_of_the_candidates_units_is_flagged() -> None:
    assert all(ramp(seed, 0.4).alarmed for seed in range(8))


def test_an_arm_without_a_share_is_no_evidence() -> None:
    ratio = SampleRatio()
    for _ in range(100):
        ratio.update(0, (0.999_999, 0.0))
    assert ratio.evidence == pytest.approx(1.0, abs=1e-3)


def test_overwhelming_mismatch_stays_a_number_and_stays_flagged() -> None:
    ratio = SampleRatio()
    for _ in range(5000):
        ratio.update(1, (0.9, 0.1))
    assert 1e290 < ratio.evidence < math.inf
    for _ in range(20_000):
        ratio.update(0, (0.5, 0.5))
    assert ratio.alarmed


@pytest.mark.parametrize(
    ("arm", "probabilities"),
    [
        (0, ()),
        (0, (0.5, 0.6)),
        (1, (0.5, 0.0)),
        (2, (0.5, 0.5)),
        (-1, (0.5, 0.5)),
        (None, (0.5, 0.5)),
        (0, (math.nan, 0.5)),
        (0, (-0.1, 0.5)),
        (0, (1.0, 0.0)),
        (0, (0.2, 0.2, 0.2)),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_counted(arm: int | None, probabilities: tuple[float, ...]) -> None:
    ratio = SampleRatio()
    ratio.update(0, (0.5, 0.5))
    before = ratio.plain()
    with pytest.raises(ValueError, match=r"probabilit|arm"):
        ratio.update(arm, probabilities)
    assert ratio.plain() == before
