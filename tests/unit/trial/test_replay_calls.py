"""Making the calls: the same ones count however many are made at once, the cap holds, and nothing hangs or crashes."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from burnish.propose.policy import Policy
from burnish.trial import replay_calls
from burnish.trial.replay_calls import Call, Limits, Made, perform
from burnish.trial.replay_record import ReplayItem, ReplayOutcome, Runner

COSTS = st.lists(st.floats(0.0, 2.0), min_size=1, max_size=25)


def calls(count: int) -> list[Call]:
    return [Call(None, ReplayItem(id=str(n)), n) for n in range(count)]


def costing(costs: Sequence[float], *, jitter: bool = False) -> Runner:
    """A runner whose nth call costs the nth amount."""

    def run(_: Policy | None, item: ReplayItem, seed: int) -> ReplayOutcome:
        if jitter:
            time.sleep(random.random() / 2_000)
        return ReplayOutcome(loss=seed % 2 / 2, cost_usd=costs[int(item.id)])

    return run


def one(answer: Callable[[], object], *, cap: float | None = None, workers: int = 1) -> ReplayOutcome:
    """What becomes of one call."""

    def run(*_: object) -> ReplayOutcome:
        return answer()  # type: ignore[return-value]  # wrong answers are the point

    return perform(calls(1), run, Limits(workers=workers, cost_cap_usd=cap)).outcomes[0]


@settings(max_examples=40)
@given(COSTS, st.floats(0.01, 20.0) | st.none(), st.integers(2, 6))
def test_the_calls_that_count_do_not_depend_on_the_number_of_workers(
    costs: list[float], cap: float | None, workers: int
) -> None:
    alone = perform(calls(len(costs)), costing(costs), Limits(cost_cap_usd=cap))
    many = perform(calls(len(costs)), costing(costs, jitter=True), Limits(workers=workers, cost_cap_usd=cap))
    assert (many.outcomes, many.stopped, many.cost_usd) == (alone.outcomes, alone.stopped, alone.cost_usd)
    assert alone.surplus_usd == 0.0


@given(COSTS, st.floats(0.01, 20.0))
def test_one_at_a_time_a_call_starts_only_when_the_mean_so_far_still_fits_below_the_cap(
    costs: list[float], cap: float
) -> None:
    made = perform(calls(len(costs)), costing(costs), Limits(cost_cap_usd=cap))
    done = len(made.outcomes)
    for count in range(1, done):
        spent = sum(map(Fraction, costs[:count]))
        assert spent + spent / count <= Fraction(cap) + Fraction(1, 10**9)
    assert sum(costs[: done - 1]) <= cap + 1e-9
    if done < len(costs):
        assert made.stopped == "cost cap"
        assert sum(costs[:done]) * (done + 1) / done > cap - 1e-9
    assert made.cost_usd == pytest.approx(sum(costs[:done]))


@settings(max_examples=30)
@given(COSTS, st.floats(0.01, 10.0), st.integers(2, 5))
def test_several_at_once_overspend_by_no_more_than_was_under_way(costs: list[float], cap: float, workers: int) -> None:
    begun: list[tuple[float, float]] = []
    ended: list[float] = []
    lock = threading.Lock()

    def run(_: Policy | None, item: ReplayItem, seed: int) -> ReplayOutcome:  # noqa: ARG001 - a runner's signature
        cost = costs[int(item.id)]
        with lock:
            begun.append((sum(ended), cost))
        time.sleep(random.random() / 2_000)
        with lock:
            ended.append(cost)
        return ReplayOutcome(loss=0.0, cost_usd=cost)

    made = perform(calls(len(costs)), run, Limits(workers=workers, cost_cap_usd=cap))
    assert made.cost_usd + made.surplus_usd == pytest.approx(sum(costs[: len(begun)]))
    assert made.cost_usd + made.surplus_usd <= cap + sum(sorted(costs)[-workers:]) + 1e-9


def test_calls_under_way_are_given_the_chance_to_be_cheap_before_the_cap_ends_it() -> None:
    costs = [0.4, 0.0, 0.0, 0.0, 0.0, 0.0]
    made = perform(calls(6), costing(costs, jitter=True), Limits(workers=3, cost_cap_usd=0.9))
    assert (len(made.outcomes), made.stopped) == (6, None)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda: (_ for _ in ()).throw(SystemExit(3)), "SystemExit: 3"),
        (lambda: None, "returned NoneType"),
        (lambda: {"loss": 0.5}, "returned dict"),
        (lambda: ReplayOutcome(loss=float("nan")), "loss=nan"),
        (lambda: ReplayOutcome(loss=1.01), "loss=1.01"),
        (lambda: ReplayOutcome(loss=-0.01), "loss=-0.01"),
        (lambda: ReplayOutcome(loss="0.5"), "loss='0.5'"),  # type: ignore[arg-type]  # the point
        (lambda: ReplayOutcome(loss=0.5, quality=2.0), "quality=2.0"),
        (lambda: ReplayOutcome(loss=0.5, cost_usd=float("nan")), "cost_usd=nan"),
        (lambda: ReplayOutcome(loss=0.5, cost_usd=-1.0), "cost_usd=-1.0"),
        (lambda: ReplayOutcome(loss=0.5, duration_s=float("inf")), "duration_s=inf"),
        (lambda: ReplayOutcome(loss=None), "it was not scored"),
        (lambda: ReplayOutcome(loss=None, error="refused"), "refused"),
    ],
)
def test_whatever_goes_wrong_in_a_runner_is_a_failure_with_loss_1(
    answer: Callable[[], object], said: str, workers: int
) -> None:
    outcome = one(answer, workers=workers)
    assert outcome.loss == 1.0
    assert outcome.error is not None
    assert said in outcome.error


def test_an_error_is_kept_short_and_free_of_what_no_database_stores() -> None:
    outcome = one(lambda: (_ for _ in ()).throw(ValueError("\0\ud800" + "x" * 10_000)))
    assert outcome.error is not None
    assert len(outcome.error) <= replay_calls.ERROR_CHARS
    assert "\0" not in outcome.error
    assert outcome.error.encode()


def test_a_loss_that_comes_with_an_error_stands_and_numbers_of_any_library_are_numbers() -> None:
    assert one(lambda: ReplayOutcome(loss=0.25, error="slow")) == ReplayOutcome(loss=0.25, error="slow")
    found = one(lambda: ReplayOutcome(loss=np.float32(0.5), cost_usd=np.int64(2)))  # type: ignore[arg-type]  # the point
    assert found == ReplayOutcome(loss=0.5, cost_usd=2.0)
    assert type(found.loss) is float


def test_what_a_bad_answer_cost_still_counts() -> None:
    assert one(lambda: ReplayOutcome(loss=7.0, cost_usd=0.5)).cost_usd == 0.5


def test_a_failure_of_unknown_cost_is_taken_to_cost_as_much_as_the_others() -> None:
    def run(_: Policy | None, item: ReplayItem, seed: int) -> ReplayOutcome:  # noqa: ARG001 - a runner's signature
        if int(item.id) % 2:
            raise OSError("gone")
        return ReplayOutcome(loss=0.0, cost_usd=1.0)

    made = perform(calls(20), run, Limits(cost_cap_usd=6.0))
    assert (len(made.outcomes), made.cost_usd, made.stopped) == (6, 3.0, "cost cap")


def test_a_call_that_takes_too_long_is_left_behind() -> None:
    release = threading.Event()

    def run(_: Policy | None, item: ReplayItem, seed: int) -> ReplayOutcome:  # noqa: ARG001 - a runner's signature
        if item.id == "1":
            release.wait(30)
        return ReplayOutcome(loss=0.0)

    began = time.monotonic()
    made = perform(calls(4), run, Limits(timeout_s=0.2))
    assert time.monotonic() - began < 5.0
    assert [outcome.loss for outcome in made.outcomes] == [0.0, 1.0, 0.0, 0.0]
    assert made.outcomes[1].error == "no answer within 0.2 s"
    release.set()


def test_a_runner_that_never_returns_stops_the_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_calls, "MOST_HANGING", 3)
    release = threading.Event()

    def run(*_: object) -> ReplayOutcome:
        release.wait(30)
        return ReplayOutcome(loss=0.0)

    made = perform(calls(50), run, Limits(workers=2, timeout_s=0.05))
    assert made.stopped == "hanging"
    assert 4 <= len(made.outcomes) <= 6
    release.set()


@pytest.mark.parametrize("workers", [1, 4])
def test_cancelling_starts_no_further_call_and_keeps_what_was_done(workers: int) -> None:
    cancel = threading.Event()

    def progress(done: int, total: int, spent: float) -> None:
        seen.append((done, total, spent))
        if done == 5:
            cancel.set()

    seen: list[tuple[int, int, float]] = []
    made = perform(calls(50), costing([0.5] * 50), Limits(workers=workers), cancel=cancel, progress=progress)
    assert made.stopped == "cancelled"
    assert 5 <= len(made.outcomes) <= 5 + workers
    assert seen[0] == (1, 50, 0.5)
    assert [done for done, _, _ in seen] == list(range(1, len(made.outcomes) + 1))


@pytest.mark.parametrize("workers", [1, 4])
def test_an_interrupt_is_not_taken_for_a_failure_of_the_runner(workers: int) -> None:
    def run(*_: object) -> ReplayOutcome:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform(calls(3), run, Limits(workers=workers))


def test_workers_really_work_at_the_same_time() -> None:
    together = threading.Barrier(4, timeout=10)

    def run(*_: object) -> ReplayOutcome:
        together.wait()
        return ReplayOutcome(loss=0.0)

    made: Made = perform(calls(8), run, Limits(workers=4))
    assert [outcome.loss for outcome in made.outcomes] == [0.0] * 8
