"""What a policy would have done, and the report made from logged runs, without a database."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from burnish.errors import InvalidValue
from burnish.propose.policy import Policy, RoutingRule
from burnish.trial import offpolicy_arrays
from burnish.trial.offpolicy import evaluate, target_of
from burnish.trial.offpolicy_ledger import Unreadable
from burnish.trial.offpolicy_record import LoggedOutcome, LoggedRun, OffPolicyReport, Target

START = datetime(2026, 3, 1, tzinfo=UTC)
EVEN = {"small": 0.5, "large": 0.5}
LOSS = {"easy": {"small": 0.1, "large": 0.1}, "hard": {"small": 0.9, "large": 0.2}}


def run_of(
    probabilities: Mapping[str, float] = EVEN, *, task_type: str = "hard", excluded: Sequence[str] = (), at: int = 0
) -> LoggedRun:
    return LoggedRun(
        id=f"run-{at}",
        tenant="t",
        agent="coder",
        task_type=task_type,
        features={"language": "python"},
        started_at=START + timedelta(minutes=at),
        rule="learned",
        probabilities=probabilities,
        excluded=excluded,
    )


def policy_of(*, task_type: str = "", models: Sequence[str] = (), routing: Sequence[RoutingRule] = ()) -> Policy:
    return Policy(
        tenant="t",
        agent="coder",
        task_type=task_type,
        models=models,
        routing=routing,
        author="person:ann",
        created="2026-03-01T00:00:00Z",
    )


def rows_of(runs: int, probabilities: Mapping[str, float] = EVEN, seed: int = 3) -> list[LoggedOutcome]:
    rng = random.Random(seed)
    rows = []
    for at in range(runs):
        task_type = rng.choice(["easy", "hard"])
        model = rng.choices(list(probabilities), list(probabilities.values()))[0]
        bad = rng.random() < LOSS[task_type][model]
        cost = {"small": 0.01, "large": 0.04}[model] * rng.uniform(0.5, 1.5)
        seconds = {"small": 1.0, "large": 3.0}[model] * rng.uniform(0.5, 1.5)
        run = run_of(probabilities, task_type=task_type, at=at)
        rows.append(LoggedOutcome(run=run, model=model, loss=float(bad), cost_usd=cost, duration_s=seconds))
    return rows


def judged(rows: Sequence[LoggedOutcome | Unreadable], target: Policy | Target, **options: object) -> OffPolicyReport:
    return evaluate(rows, target, tenant="t", agent="coder", **options)  # type: ignore[arg-type]  # options of a test


LARGE = policy_of(routing=[RoutingRule(model="large")])
SMALL = policy_of(routing=[RoutingRule(model="small")])


def test_a_pinned_model_is_taken_for_sure_where_its_rule_fits() -> None:
    target = target_of(policy_of(routing=[RoutingRule(when={"task_type": "hard"}, model="large")]))
    assert target(run_of()) == {"large": 1.0}
    assert target(run_of(task_type="easy")) == EVEN
    by_feature = target_of(policy_of(routing=[RoutingRule(when={"language": "python"}, model="small")]))
    assert by_feature(run_of()) == {"small": 1.0}


def test_allowed_models_share_what_learning_gave_them() -> None:
    run = run_of({"small": 0.2, "large": 0.3, "huge": 0.5})
    assert target_of(policy_of(models=["small", "large"]))(run) == pytest.approx({"small": 0.4, "large": 0.6})
    assert target_of(policy_of(models=["other"]))(run) == {"other": 1.0}
    assert target_of(policy_of())(run) == run.probabilities


def test_a_pinned_model_that_a_limit_kept_out_is_passed_over() -> None:
    run = run_of({"small": 1.0}, excluded=["large"])
    assert target_of(LARGE)(run) == {"small": 1.0}
    assert target_of(policy_of(routing=[RoutingRule(model="never seen")]))(run) == {"never seen": 1.0}


def test_a_policy_for_one_task_type_leaves_the_others_as_they_were() -> None:
    target = target_of(policy_of(task_type="hard", routing=[RoutingRule(model="large")]))
    assert target(run_of(task_type="easy")) == EVEN
    assert target(run_of(task_type="hard")) == {"large": 1.0}


def test_a_better_policy_passes_and_says_what_it_costs() -> None:
    report = judged(rows_of(1_500), LARGE)
    assert (report.verdict, report.ground, report.needs_more_runs) == ("pass", "interval", None)
    assert report.dr == pytest.approx(-0.175, abs=0.05)
    assert report.low is not None
    assert report.high is not None
    assert report.low < -0.175 < report.high < 0
    assert report.cost_usd is not None
    assert report.cost_usd.low < 0.015 < report.cost_usd.high
    assert report.cost_usd.low > 0
    assert report.over_p95 is not None
    assert report.over_p95.value > 0
    assert report.target == LARGE.digest
    assert report.reason.startswith("over 1,500 logged runs the target's loss is estimated 0.")


def test_a_worse_policy_fails() -> None:
    report = judged(rows_of(1_500), SMALL)
    assert report.verdict == "fail"
    assert report.reason.endswith("it is worse")


def test_few_runs_are_inconclusive_and_ask_for_more() -> None:
    report = judged(rows_of(80), lambda _: {"small": 0.4, "large": 0.6}, margin=0.0)
    assert (report.verdict, report.ground) == ("inconclusive", "interval")
    assert report.needs_more_runs is not None
    assert f"about {report.needs_more_runs:,} more runs like these would tell" in report.reason
    later = judged(rows_of(80 + 2 * report.needs_more_runs), lambda _: {"small": 0.4, "large": 0.6}, margin=0.0)
    assert later.verdict == "pass"


def test_a_model_that_no_decision_offered_cannot_be_evaluated() -> None:
    report = judged(rows_of(500), policy_of(routing=[RoutingRule(when={"task_type": "hard"}, model="new")]))
    assert (report.verdict, report.ground, report.refused) == ("inconclusive", "no support", True)
    assert "most of all new on task type hard" in report.reason
    assert (report.dr, report.low, report.cost_usd, report.over_p95) == (None, None, None, None)
    assert 0.4 < report.support < 0.6


def test_too_few_runs_like_the_target_are_no_answer() -> None:
    report = judged(rows_of(400, {"small": 0.99, "large": 0.01}), LARGE)
    assert report.ground == "too few effective runs"
    assert report.refused
    assert "they weigh like" in report.reason


def test_runs_without_loss_or_with_broken_decisions_are_left_out_and_counted() -> None:
    rows = rows_of(300)
    unscored = [LoggedOutcome(run=run_of(at=900 + k), model="small", loss=None) for k in range(7)]
    report = judged([*rows, *unscored, Unreadable(run_id="x")], LARGE)
    assert (report.runs, report.unscored, report.unreadable) == (300, 7, 1)
    assert report.data_digest == judged(rows, LARGE).data_digest
    assert report.dr == judged(rows, LARGE).dr


def test_nothing_to_go_on_is_said_in_words() -> None:
    assert judged([], LARGE).reason.startswith("no run of this window asked for a decision")
    only = judged([LoggedOutcome(run=run_of(), model="small", loss=None)], LARGE)
    assert only.reason.startswith("none of the 1 decided runs of this window has a loss yet")
    assert (only.verdict, only.runs, only.dr) == ("inconclusive", 0, None)


def test_costs_and_durations_may_be_missing() -> None:
    rows = [LoggedOutcome(run=row.run, model=row.model, loss=row.loss) for row in rows_of(300)]
    report = judged(rows, LARGE)
    assert report.dr is not None
    assert (report.cost_usd, report.latency_p95_s, report.over_p95) == (None, None, None)
    some = [*rows_of(200), *rows[200:]]
    priced = judged(some, LARGE).cost_usd
    assert priced is not None
    assert priced.runs == 200


def test_a_target_may_be_compared_with_another_policy_than_the_logged() -> None:
    report = judged(rows_of(1_500), LARGE, baseline=SMALL)
    assert report.baseline == SMALL.digest
    assert report.dr == pytest.approx(-0.35, abs=0.06)
    assert judged(rows_of(200), LARGE, baseline=LARGE).dr == 0.0


@pytest.mark.parametrize(
    "given", [{"small": 0.5}, {"small": 1.5, "large": -0.5}, {}, {"small": float("nan")}, {"small": "1"}, None, 3]
)
def test_a_target_that_gives_no_distribution_is_refused(given: object) -> None:
    with pytest.raises(InvalidValue, match="give each model a probability"):
        judged(rows_of(3), lambda _: given)  # type: ignore[arg-type, return-value]  # a wrong target is the point


@pytest.mark.parametrize(
    "options", [{"margin": 2.0}, {"margin": -0.1}, {"alpha": 0.0}, {"alpha": float("nan")}, {"planned": 0}]
)
def test_numbers_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidValue):
        judged(rows_of(3), LARGE, **options)


def test_more_than_fits_in_memory_is_refused_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offpolicy_arrays, "MOST_CELLS", 100)
    with pytest.raises(InvalidValue, match="narrow it"):
        judged(rows_of(100), LARGE)


def test_models_that_join_late_get_their_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offpolicy_arrays, "BLOCK", 16)
    early = rows_of(100, {"small": 1.0})
    late = [
        LoggedOutcome(run=run_of(at=100 + at), model="large" if at % 2 else "small", loss=0.5) for at in range(1_900)
    ]
    report = judged([*early, *late], lambda run: {"large": 1.0} if "large" in run.probabilities else {"small": 1.0})
    assert report.support == 1.0
    assert report.runs == 2_000


def test_a_target_sees_nothing_of_what_came_of_the_run() -> None:
    assert not {"loss", "model", "cost_usd", "duration_s"} & set(LoggedRun.__struct_fields__)
