from __future__ import annotations

import msgspec
import pytest

from benchmarks.gates import play
from benchmarks.gates_lines import Night
from benchmarks.gates_report import Result, below_start, chart, report, values

TINY = Night(shadow=300, canary=300)


@pytest.fixture(scope="module")
def nights() -> Result:
    return play([1], 2, TINY)


def test_the_gated_line_never_loses_a_point_while_the_ungated_one_collapses(nights: Result) -> None:
    for measured in ("success", "utility"):
        assert below_start(nights, "gated", measured) <= 1.0
    lowest = min(min(course) for course in values(nights, "ungated", "success"))
    assert lowest < nights.start.success - 0.03


def test_every_proposal_meets_its_gate_and_no_bad_one_comes_through(nights: Result) -> None:
    ends = nights.seeds[0].ends
    assert sum(count for _, _, count in ends) == 5 * nights.nights
    assert {at for _, at, _ in ends} >= {"replay", "shadow", "canary"}
    assert {at for kind, at, _ in ends if kind == "adversarial"} == {"replay"}
    assert not [kind for kind, at, _ in ends if at == "active" and kind in {"adversarial", "memorised", "time bomb"}]


def test_the_same_seed_gives_the_same_nights_and_the_same_chart(nights: Result) -> None:
    again = play([1], 2, TINY)
    assert msgspec.json.encode(again) == msgspec.json.encode(nights)
    assert chart(again) == chart(nights)
    assert report(again, "how") == report(nights, "how")
