"""Assignment by hash: uniform, independent between salts, and stable while shares grow."""

import hashlib
import math

import pytest
from hypothesis import given, strategies as st

from burnish.stats.assignment import arm_of, unit_number

UNITS = [f"tenant-{index}" for index in range(20_000)]


def chi_squared(counts: list[int], expected: list[float]) -> float:
    return sum((count - e) ** 2 / e for count, e in zip(counts, expected, strict=True))


@st.composite
def growth(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    """Shares of one to five candidates before and after some of them grew."""
    count = draw(st.integers(1, 5))
    most = 0.999 / count
    after = [draw(st.floats(0.0, most)) for _ in range(count)]
    return [draw(st.floats(0.0, share)) for share in after], after


def test_the_number_is_the_documented_hash() -> None:
    digest = hashlib.sha256(b"experiment 7\x1frun-12").digest()
    assert unit_number("experiment 7", "run-12") == (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def test_numbers_are_uniform() -> None:
    bins = [0] * 100
    for unit in UNITS:
        bins[int(unit_number("experiment", unit) * 100)] += 1
    assert chi_squared(bins, [len(UNITS) / 100] * 100) < 149.4  # 99 degrees of freedom, p = .0008


def test_two_salts_assign_independently() -> None:
    table = [0] * 16
    for unit in UNITS:
        table[4 * int(unit_number("first", unit) * 4) + int(unit_number("second", unit) * 4)] += 1
    assert chi_squared(table, [len(UNITS) / 16] * 16) < 39.3  # 15 degrees of freedom, p = .0006


def test_shares_are_what_is_assigned() -> None:
    shares = (0.05, 0.2)
    counts = [0, 0, 0]
    for unit in UNITS:
        counts[arm_of(unit_number("experiment", unit), shares)] += 1
    assert chi_squared(counts, [len(UNITS) * share for share in (0.75, *shares)]) < 14.3  # 2 degrees, p = .0008


@given(growth(), st.floats(0.0, 1.0, exclude_max=True))
def test_growing_shares_move_units_only_from_control_to_a_candidate(
    shares: tuple[list[float], list[float]], number: float
) -> None:
    before, after = (arm_of(number, each) for each in shares)
    assert before in (0, after)


@given(growth())
def test_each_band_is_as_wide_as_its_share(shares: tuple[list[float], list[float]]) -> None:
    _, after = shares
    for index, share in enumerate(after):
        start = index / len(after)
        assert arm_of(start, after) == (index + 1 if start < start + share else 0)
        end = start + share
        assert arm_of(min(math.nextafter(end, 2.0), 0.999_999), after) != index + 1 or end >= 0.999_999


@given(st.text(), st.text())
def test_any_unit_has_a_number(salt: str, unit: str) -> None:
    if "\x1f" not in salt:
        assert 0.0 <= unit_number(salt, unit) < 1.0


def test_a_lone_surrogate_is_a_unit_like_any_other() -> None:
    assert 0.0 <= unit_number("salt", "\ud800") < 1.0


def test_no_two_pairs_share_a_hash_through_the_separator() -> None:
    with pytest.raises(ValueError, match="separator"):
        unit_number("a\x1fb", "c")


@pytest.mark.parametrize("shares", [(1.0,), (0.6, 0.1), (0.5, 0.5), (-0.1,), (math.nan,)])
def test_shares_that_leave_no_room_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="shares"):
        arm_of(0.5, shares)


@pytest.mark.parametrize("number", [1.0, -0.1, math.nan])
def test_a_number_outside_the_unit_interval_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="number"):
        arm_of(number, (0.1,))


def test_without_candidates_all_is_control() -> None:
    assert arm_of(0.3, ()) == 0
