"""A replay: the same report however it is run, pairs item by item, and a verdict that follows from what is shown."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from burnish.curate.goldens import GoldenDataset, GoldenItem
from burnish.errors import InvalidValue
from burnish.propose.policy import Policy
from burnish.stats.bounded import mean_interval
from burnish.trial.replay import replay
from burnish.trial.replay_plan import data_digest, replayed
from burnish.trial.replay_record import ReplayItem, ReplayOutcome, ReplayReport, Runner
from burnish.trial.replay_words import in_words

CANDIDATE = Policy(tenant="t", agent="a", models=["new"], author="person:x", created="2026-01-01T00:00:00Z")
BASELINE = msgspec.structs.replace(CANDIDATE, models=["old"])
LOSS = st.floats(0.0, 1.0)


def items(count: int) -> list[ReplayItem]:
    return [ReplayItem(id=f"i{n}", task=f"Task {n}", task_type="ab"[n % 2], inputs=[n]) for n in range(count)]


def giving(candidate: Mapping[str, float], baseline: Mapping[str, float], noise: float = 0.0) -> Runner:
    """A runner that gives each item its loss, with noise that depends on seed, side and item alone."""

    def run(policy: Policy | None, item: ReplayItem, seed: int) -> ReplayOutcome:
        side = "new" if policy is CANDIDATE else "old"
        loss = (candidate if side == "new" else baseline)[item.id]
        if noise:
            loss = min(1.0, max(0.0, loss + random.Random(f"{seed}{side}{item.id}").uniform(-noise, noise)))
            time.sleep(random.random() / 5_000)
        return ReplayOutcome(loss=loss, cost_usd=0.01, duration_s=2.0)

    return run


def flat(candidate: float, baseline: float, count: int, **options: object) -> ReplayReport:
    """Replay items of which each has the same loss."""
    found = items(count)
    losses = {item.id: candidate for item in found}, {item.id: baseline for item in found}
    return replay(CANDIDATE, BASELINE, found, giving(*losses), **options)  # type: ignore[arg-type]  # options of a test


def golden(*found: GoldenItem) -> GoldenDataset:
    return GoldenDataset(
        id="g", created_at=datetime(2026, 1, 1, tzinfo=UTC), tenant="t", name="core", version=2, digest="sha256:x",
        size=len(found), items=list(found),
    )  # fmt: skip


@settings(max_examples=15)
@given(st.lists(st.tuples(LOSS, LOSS), min_size=1, max_size=12), st.integers(2, 5), st.randoms(use_true_random=False))
def test_the_same_seeds_give_the_same_report_in_any_order_with_any_number_of_workers(
    losses: list[tuple[float, float]], workers: int, rng: random.Random
) -> None:
    found = items(len(losses))
    new, old = ({item.id: pair[side] for item, pair in zip(found, losses, strict=True)} for side in (0, 1))
    runner = giving(new, old, noise=0.2)
    alone = replay(CANDIDATE, BASELINE, found, runner)
    rng.shuffle(found)
    assert replay(CANDIDATE, BASELINE, found, runner, workers=workers) == alone


@given(st.lists(st.tuples(LOSS, LOSS), min_size=1, max_size=30))
def test_differences_are_paired_item_by_item(losses: list[tuple[float, float]]) -> None:
    found = items(len(losses))
    new, old = ({item.id: pair[side] for item, pair in zip(found, losses, strict=True)} for side in (0, 1))
    report = replay(CANDIDATE, BASELINE, found, giving(new, old), seeds=[1, 2])
    deltas = [after - before for after, before in losses]
    assert report.mean_delta == pytest.approx(statistics.fmean(deltas), abs=1e-9)
    assert report.candidate_loss == pytest.approx(statistics.fmean(after for after, _ in losses))
    assert report.regressed == sum(delta > 0.1 + 1e-9 for delta in deltas)
    assert report.improved == sum(delta < -0.1 - 1e-9 for delta in deltas)
    assert [one.delta for one in report.regressions] == sorted((one.delta for one in report.regressions), reverse=True)
    assert sum(one.items for one in report.by_type) == len(found)
    assert report.stability == pytest.approx(0.0, abs=1e-9)


@given(st.lists(st.tuples(LOSS, LOSS), min_size=1, max_size=30), st.floats(0.0, 0.3))
def test_the_verdict_follows_from_the_interval(losses: list[tuple[float, float]], margin: float) -> None:
    found = items(len(losses))
    new, old = ({item.id: pair[side] for item, pair in zip(found, losses, strict=True)} for side in (0, 1))
    report = replay(CANDIDATE, BASELINE, found, giving(new, old), seeds=[0], margin=margin)
    assert report.low is not None
    assert report.high is not None
    said = "fail" if report.low > 0 else "pass" if report.high < margin else "inconclusive"
    assert report.verdict == said


def test_clear_cases_are_called_as_they_are() -> None:
    assert flat(0.2, 0.5, 60).verdict == "pass"
    assert flat(0.5, 0.2, 60).verdict == "fail"
    few = flat(0.2, 0.5, 3)
    assert few.verdict == "inconclusive"
    assert few.items_needed is not None
    assert flat(0.2, 0.5, 3 + few.items_needed).verdict == "pass"
    assert f"about {few.items_needed} more items" in few.reason


def test_a_policy_that_changes_nothing_passes_once_enough_items_say_so() -> None:
    assert flat(0.4, 0.4, 100).verdict == "inconclusive"
    assert flat(0.4, 0.4, 400).verdict == "pass"


def test_harm_that_is_sure_fails_even_within_the_margin() -> None:
    report = flat(0.41, 0.40, 1_000, margin=0.1)
    assert report.high is not None
    assert report.high < 0.1
    assert report.verdict == "fail"


def seeded(effects: Sequence[float], count: int) -> ReplayReport:
    """Replay under a candidate that is as much worse as its seed says."""

    def run(policy: Policy | None, _: ReplayItem, seed: int) -> ReplayOutcome:
        return ReplayOutcome(loss=0.5 + (effects[seed] if policy is CANDIDATE else 0.0))

    return replay(CANDIDATE, BASELINE, items(count), run, seeds=range(len(effects)))


def test_a_candidate_whose_seeds_disagree_is_inconclusive() -> None:
    report = seeded([-0.4, -0.4, 0.2], 200)
    assert [one.verdict for one in report.by_seed] == ["pass", "pass", "fail"]
    assert report.high is not None
    assert report.high < 0.02
    assert report.verdict == "inconclusive"
    assert "seed 2 fail" in report.reason
    assert report.stability == pytest.approx(statistics.stdev([-0.4, -0.4, 0.2]))
    losses = [(one.candidate_loss, one.baseline_loss) for one in report.by_seed]
    assert losses == [pytest.approx((0.5 + effect, 0.5)) for effect in (-0.4, -0.4, 0.2)]
    assert seeded([-0.4, -0.4, -0.1], 200).verdict == "pass"


def test_the_interval_is_that_of_the_differences() -> None:
    rng = random.Random(2)
    found = items(80)
    new, old = ({item.id: rng.random() for item in found} for _ in range(2))
    report = replay(CANDIDATE, None, found, giving(new, old), seeds=[0])
    wide = mean_interval([new[item.id] - old[item.id] for item in found])
    assert report.low is not None
    assert report.high is not None
    assert report.high - report.low == pytest.approx(wide.high - wide.low, rel=0.2)  # in another order
    assert report.baseline is None
    assert "what the host does now" in in_words(report)[1]


def test_one_golden_item_that_got_worse_fails_a_candidate_that_is_better_on_average() -> None:
    found = items(100)
    frozen = GoldenItem(id="gold", task="Never fail this")
    new = {**{item.id: 0.1 for item in found}, "gold": 0.5}
    old = {**{item.id: 0.6 for item in found}, "gold": 0.35}
    report = replay(CANDIDATE, BASELINE, found, giving(new, old), goldens=golden(frozen))
    assert report.verdict == "fail"
    assert "1 of 1 golden items got worse, most of all gold by +0.150" in report.reason
    assert report.items == 100
    assert report.mean_delta == pytest.approx(-0.5)
    old["gold"] = 0.41
    assert replay(CANDIDATE, BASELINE, found, giving(new, old), goldens=golden(frozen)).verdict == "pass"


def test_a_golden_item_with_a_loss_to_hold_is_compared_with_that_and_asked_of_the_candidate_alone() -> None:
    found, asked = items(60), []
    frozen = GoldenItem(id="gold", baseline_loss=0.2, expected="secret")

    def run(policy: Policy | None, item: ReplayItem, seed: int) -> ReplayOutcome:
        if item.id == "gold":
            asked.append((policy, seed))
            assert "secret" not in repr(item)
        return ReplayOutcome(loss=0.3 if policy is CANDIDATE else 0.9)

    assert replay(CANDIDATE, BASELINE, found, run, goldens=golden(frozen)).verdict == "pass"
    assert asked == [(CANDIDATE, 0), (CANDIDATE, 1), (CANDIDATE, 2)]
    stricter = msgspec.structs.replace(frozen, baseline_loss=0.1)
    assert replay(CANDIDATE, BASELINE, found, run, goldens=golden(stricter)).verdict == "fail"


def test_an_item_that_is_golden_too_is_done_once_and_counts_for_both() -> None:
    frozen = [GoldenItem(id=f"i{n}", task=f"Task {n}", task_type="ab"[n % 2], inputs=[n]) for n in range(2)]
    found = items(60)
    assert replayed(frozen[1]) == found[1]
    done: list[str] = []

    def run(policy: Policy | None, item: ReplayItem, seed: int) -> ReplayOutcome:  # noqa: ARG001 - a runner's signature
        done.append(item.id)
        return ReplayOutcome(loss=0.2 if policy is CANDIDATE else 0.6)

    report = replay(CANDIDATE, BASELINE, found, run, goldens=golden(*frozen))
    assert (report.items, len(done)) == (60, 60 * 2 * 3)
    assert {*done[:12]} == {"i0", "i1"}
    assert report.goldens is not None
    assert (report.goldens.checked, report.goldens.size, report.verdict) == (2, 2, "pass")


def test_a_golden_item_of_the_same_id_and_other_content_is_another_item() -> None:
    report = flat(0.2, 0.6, 60, goldens=golden(GoldenItem(id="i0", task="Something else")))
    assert report.goldens is not None
    assert (report.items, report.goldens.checked) == (60, 1)


def test_at_the_cost_cap_it_stops_undecided_with_whole_items_only() -> None:
    report = flat(0.1, 0.9, 200, cost_cap_usd=6.045)
    assert (report.verdict, report.stopped, report.items) == ("inconclusive", "cost cap", 100)
    assert report.reason == "stopped at the cost cap, after 100 of 200 items"
    assert report.mean_delta == pytest.approx(-0.8)
    assert report.spent_usd == pytest.approx(6.04)
    assert flat(0.1, 0.9, 200, cost_cap_usd=12.0 + 1e-9).stopped is None


def test_a_cap_that_is_used_up_at_once_leaves_nothing_to_judge() -> None:
    report = flat(0.1, 0.9, 5, cost_cap_usd=0.001)
    assert (report.items, report.mean_delta, report.verdict) == (0, None, "inconclusive")
    assert "after 0 of 5 items" in report.reason
    assert in_words(report)


def test_a_runner_that_fails_on_the_candidate_fails_it_and_is_counted() -> None:
    def run(policy: Policy | None, item: ReplayItem, seed: int) -> ReplayOutcome:
        if policy is CANDIDATE and item.id in {"i0", "i1", "i2"}:
            raise TimeoutError(f"seed {seed}")
        return ReplayOutcome(loss=math.nan if item.id == "i9" else 0.2)

    report = replay(CANDIDATE, BASELINE, items(20), run)
    assert (report.candidate_failures, report.baseline_failures) == (9 + 3, 3)
    assert sum(one.candidate + one.baseline for one in report.failures) == 15
    assert "loss=nan" in report.failures[0].error
    assert [one.id for one in report.regressions] == ["i0", "i1", "i2"]
    assert report.regressions[0].candidate_loss == 1.0
    assert report.delta_without_failures == 0.0
    assert any("12 calls of the candidate and 3 of the baseline failed" in said for said in in_words(report))


def test_both_sides_of_a_seed_are_neighbours_and_neither_always_goes_first() -> None:
    order: list[tuple[str, int, bool]] = []

    def run(policy: Policy | None, item: ReplayItem, seed: int) -> ReplayOutcome:
        order.append((item.id, seed, policy is CANDIDATE))
        return ReplayOutcome(loss=0.5)

    replay(CANDIDATE, BASELINE, items(40), run)
    pairs = list(zip(order[::2], order[1::2], strict=True))
    assert all(one[:2] == other[:2] and one[2] is not other[2] for one, other in pairs)
    assert 50 <= sum(one[2] for one, _ in pairs) <= 70
    assert [one[0] for one in order[::6]] != [item.id for item in items(40)]


def test_the_report_is_in_words_and_travels_as_json() -> None:
    report = flat(0.5, 0.2, 60, goldens=golden(GoldenItem(id="i0", task="Task 0", task_type="a", inputs=[0])))
    assert msgspec.json.decode(msgspec.json.encode(report), type=ReplayReport) == report
    said = in_words(report)
    assert said[0].startswith("FAIL: 1 of 1 golden items got worse")
    assert said[1] == "Mean loss 0.500 against 0.200 of the baseline, over 60 items × 3 seeds."
    assert any("60 worse by more than 0.100; the worst is i0, from 0.200 to 0.500" in one for one in said)
    assert any("Golden dataset core, version 2: 1 of 1 items got worse: i0." in one for one in said)
    assert said[-1] == "Spent 3.6000 USD; a call cost 0.0100 against 0.0100 USD."


def test_the_digest_is_of_the_items_whatever_their_order() -> None:
    found = items(5)
    assert data_digest(found) == data_digest(found[::-1]) == flat(0.1, 0.2, 5).data_digest
    assert data_digest(found) != data_digest(found[:4])
    changed = [msgspec.structs.replace(found[0], inputs=[1]), *found[1:]]
    assert data_digest(found) != data_digest(changed)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "each once"),
        ({"seeds": ["x"]}, "seeds"),
        ({"workers": 0}, "workers"),
        ({"workers": 1_000}, "workers"),
        ({"cost_cap_usd": 0.0}, "cost_cap_usd"),
        ({"cost_cap_usd": math.nan}, "cost_cap_usd"),
        ({"timeout_s": -1}, "timeout_s"),
        ({"margin": 2.0}, "margin"),
        ({"tolerance": -0.1}, "tolerance"),
        ({"alpha": 0.0}, "alpha"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_call(options: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        flat(0.1, 0.1, 2, **options)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ([], "at least one"),
        ([ReplayItem(id="a"), ReplayItem(id="a")], "an id of its own"),
        ([ReplayItem(id="")], "an id of its own"),
        ([ReplayItem(id="a", inputs=math.nan)], "canonical JSON"),
        ([ReplayItem(id="a", inputs=object())], "canonical JSON"),
        ([ReplayItem(id="\ud800")], "canonical JSON"),
    ],
)
def test_items_that_have_no_identity_are_refused(bad: list[ReplayItem], said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        replay(CANDIDATE, BASELINE, bad, giving({}, {}))
